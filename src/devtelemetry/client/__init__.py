"""The client: what a messenger embeds. Needs grpcio and protobuf, and nothing of the server.

    settings = Settings("node.db")  # off until someone opts in
    client = TelemetryClient(settings, server="telemetry.example:50051", platform="desktop")
    client.start()
    client.message_received(message_id="0x…", channel_id="…", sent_at=1772445600000)
    client.close()

docs/client.md says how to use it, docs/privacy.md what leaves the device.
"""

from devtelemetry.client.blind import blind_channel, blind_envelope, blind_message, pseudonym
from devtelemetry.client.client import TelemetryClient
from devtelemetry.client.errors import BadSetting, ClientError, NotOffered, Unwritable
from devtelemetry.client.outbox import Limits
from devtelemetry.client.schedule import Timing
from devtelemetry.client.settings import Build, Problem, Settings, Status
from devtelemetry.client.show import shown
from devtelemetry.client.values import Outcome, SentAtClock, Via

__all__ = [
    "BadSetting",
    "Build",
    "ClientError",
    "Limits",
    "NotOffered",
    "Outcome",
    "Problem",
    "SentAtClock",
    "Settings",
    "Status",
    "TelemetryClient",
    "Timing",
    "Unwritable",
    "Via",
    "blind_channel",
    "blind_envelope",
    "blind_message",
    "pseudonym",
    "shown",
]
