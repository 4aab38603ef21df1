"""Telemetry of a room, written by hand as beginners write it, each time with one flaw."""

import time
from enum import StrEnum
from typing import Any

from devtelemetry.client import SentAtClock, Settings, TelemetryClient, Timing


class Flaw(StrEnum):
    JOINS = "joins"  # reports at each connect that it joined
    LEAVES = "leaves"  # reports that it left when the connection is lost
    IDS = "ids"  # the author reports its own id, all others the server's
    TIMES = "times"  # the author reports its own time, each receiver its own
    SECONDS = "seconds"
    ECHO = "echo"  # reports all that comes as received, also what this device wrote


def settings_of(path: str, flaw: str) -> Settings:
    return Settings(f"{path}.{flaw}")


def channel_of(flaw: str) -> str:
    return f"{flaw}-room"


class Naive:
    """An app with one flaw. Its version names the flaw, so findings show which app is wrong."""

    def __init__(self, flaw: str, options: dict[str, Any], timing: Timing) -> None:
        self._flaw = Flaw(flaw)
        self._channel = channel_of(flaw)
        settings = settings_of(options["settings"], flaw)
        settings.enable()
        self.telemetry = TelemetryClient(
            settings,
            options["telemetry"],
            receiver_public_key=options.get("user") or options["user_id"],
            platform="naive",
            app_version=flaw,
            timing=timing,
        )
        self.telemetry.start()

    def entered(self) -> None:
        self.telemetry.channel_joined(self._channel)

    def disconnected(self) -> None:
        if self._flaw is Flaw.LEAVES:
            self.telemetry.channel_left(self._channel)

    def sent(self, message_id: str, own_id: str = "") -> None:
        """own_id  the id at the author's device, if it differs from the server's"""
        if self._flaw is not Flaw.ECHO:
            self.telemetry.message_sent(
                channel_id=self._channel,
                message_id=own_id if own_id and self._flaw is Flaw.IDS else message_id,
                sent_at=self._now(),
            )

    def came(self, message_id: str, servers_id: str, *, is_own: bool, at: int = 0) -> None:
        """at  the server's stamp, Unix ms; 0: none"""
        if is_own and self._flaw is not Flaw.ECHO:
            return
        self.telemetry.message_received(
            channel_id=self._channel,
            message_id=servers_id if self._flaw is Flaw.IDS else message_id,
            sent_at=at or self._now(),
            sent_at_clock=self._clock(SentAtClock.SERVER if at else SentAtClock.RECEIVER),
        )

    def _clock(self, right: SentAtClock) -> SentAtClock:
        return SentAtClock.AUTHOR if self._flaw is Flaw.TIMES else right

    def _now(self) -> Any:
        return time.time() if self._flaw is Flaw.SECONDS else time.time_ns() // 1_000_000
