"""What can be said to each command. Nothing here imports a room at the top: --help is fast."""
