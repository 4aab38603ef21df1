"""Settings of an installation that has a request to forget it to send."""

from devtelemetry.client import Settings
from support.clients import eventually, receive, running_client, wall_clock


def opted_in_with(settings: Settings, server: str) -> str:
    """Opts in and tries to send `server` something, whether it answers or not; returns the id."""
    settings.enable()
    with running_client(settings, server) as client:
        receive(client, "m0", wall_clock() + 1000)
        eventually(lambda: settings.status().acknowledged or settings.status().problem)
    return settings.status().installation_id


def opted_out_of(settings: Settings, server: str) -> str:
    """As above, and opts out while no client runs that could report it; returns the id."""
    installation_id = opted_in_with(settings, server)
    settings.disable()
    assert settings.status().leaving == 1
    return installation_id
