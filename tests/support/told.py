"""A client that notes the calls of a module for a messenger, and also does them."""

from typing import Any, NamedTuple

from devtelemetry.client import TelemetryClient

_CALLS = (
    "message_received",
    "message_unreadable",
    "message_sent",
    "send_failed",
    "channel_joined",
    "channel_left",
    "channels_are",
)


class Call(NamedTuple):
    name: str
    channel: Any
    fields: dict[str, Any]


class Told(TelemetryClient):
    """calls  in their order"""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.calls: list[Call] = []
        for name in _CALLS:
            setattr(self, name, self._noting(name, getattr(super(), name)))

    def _noting(self, name: str, call: Any) -> Any:
        def noted(*channel: Any, **fields: Any) -> None:
            told = fields.copy()
            self.calls.append(Call(name, told.pop("channel_id", *channel), told))
            call(*channel, **fields)

        return noted

    def taken(self) -> list[Call]:
        """The calls since the last time."""
        calls, self.calls = self.calls, []
        return calls
