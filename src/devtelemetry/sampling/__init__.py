"""Of how many messages clients are to report one: decided here, ahead of time."""
