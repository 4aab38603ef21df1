"""Who this installation is, under one consent."""

import sqlite3
from typing import NamedTuple

from devtelemetry.client.machine import boot_id, uptime_ms

_CLOCK_DRIFT_MS = 1000  # two clocks of one machine may drift apart by this much if neither was set


class Identity(NamedTuple):
    consent: int
    installation_id: str
    secret: bytes
    opted_in_at: int  # Unix ms, this device's clock
    opted_in_boot: str
    opted_in_uptime: int
    send_real_key: bool
    blind_ids: bool

    def opted_in_by(self, now_ms: int) -> int:
        """When the opt-in was, Unix ms, by the clock as it is set now.

        If the clock was set back since then, the noted time of the opt-in may lie in the future.
        So if the machine has not restarted, the time is computed from how long ago the opt-in was.
        """
        if self.opted_in_boot in ("?", "") or self.opted_in_boot != boot_id():
            return self.opted_in_at
        by_uptime = now_ms - (uptime_ms() - self.opted_in_uptime)
        return by_uptime if by_uptime < self.opted_in_at - _CLOCK_DRIFT_MS else self.opted_in_at


def identity_under(connection: sqlite3.Connection, consent: int) -> Identity | None:
    """The identity, if `consent` is the consent that is given now; else None."""
    row = connection.execute(
        "select consent, installation_id, secret, opted_in_at, opted_in_boot, opted_in_uptime,"
        " send_real_key, blind_ids"
        " from telemetry_settings, telemetry_identity"
        " where telemetry_enabled = 1 and build = 'dev' and consent = ?",
        (consent,),
    ).fetchone()
    return None if row is None else Identity(*row)
