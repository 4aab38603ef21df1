"""Settings with a request to a server to forget them."""

from devtelemetry.client import Settings
from support.clients import eventually, receive, running_client, wall_clock


def opted_in_with(settings: Settings, server: str) -> str:
    """Opts in and sends `server` something, whether it answers or not; the installation's id."""
    settings.enable()
    with running_client(settings, server) as client:
        receive(client, "m0", wall_clock() + 1000)
        eventually(lambda: settings.status().acknowledged or settings.status().problem)
    return settings.status().installation_id


def opted_out_of(settings: Settings, server: str) -> str:
    """As above, and opts out without a client to say so; the installation's id."""
    installation_id = opted_in_with(settings, server)
    settings.disable()
    assert settings.status().leaving == 1
    return installation_id
