"""What this device sends, as JSON that people can read. The samples are as on the wire."""

import base64
from datetime import datetime
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from devtelemetry.client import lost as losses
from devtelemetry.client import sampling, stays
from devtelemetry.client.sample import to_lost, to_membership
from devtelemetry.client.settings import Settings, moment
from devtelemetry.v1 import telemetry_pb2


def shown(settings: Settings, *, limit: int = 100) -> dict[str, Any]:
    """What waits, and what was lately sent or set aside, the newest first.

    limit  the most samples of each state, and the most rules of sampling; `counts` says how many
           samples there are

    Every field that is sent, or that the server sent, is here under its name on the wire. The only
    other fields are these:

    sequence, state, recorded_at, changed_at, reason  of the outbox, beside each `sample`
    telemetry_enabled, opted_in_at, server, before_opt_in, not_in_sample, faults, counts
                                                      of the whole
    """
    with settings.connected() as connection:
        connection.execute("begin")
        identity = connection.execute("select * from telemetry_identity").fetchone()
        counts = dict(
            connection.execute(
                "select state, count(*) from telemetry_outbox group by state order by state"
            ).fetchall()
        )
        rows = [
            row
            for state in counts
            for row in connection.execute(
                "select * from telemetry_outbox where state = ? order by sequence desc limit ?",
                (state, limit),
            )
        ]
        memberships = stays.to_be_told(connection)
        lost = losses.to_be_told(connection)
        rules = sampling.read(connection, limit)
        connection.execute("commit")
    status = settings.status()
    reporter = telemetry_pb2.Reporter.FromString(identity["reporter"] if identity else b"")
    return {
        "telemetry_enabled": status.telemetry_enabled,
        "opted_in_at": iso(status.opted_in_at),
        "server": identity["server"] if identity else "",
        "reporter": as_sent(reporter),
        "memberships": [as_sent(to_membership(stay)) for stay in memberships],
        "before_opt_in": status.before_opt_in,
        "not_in_sample": dict(status.not_in_sample),
        "faults": dict(status.faults),
        "lost": [as_sent(to_lost(numbers)) for numbers in lost],
        "sampling": [as_sent(sampling.to_sampling(rule)) for rule in rules],
        "push_interval_seconds": identity["push_interval"] if identity else 0,
        "counts": counts,
        "samples": [
            {
                "sequence": row["sequence"],
                "state": row["state"],
                "recorded_at": iso(moment(row["recorded_at"])),
                "changed_at": iso(moment(row["changed_at"])),
                **({"reason": row["reason"]} if row["reason"] else {}),
                **({"one_in": row["one_in"]} if row["one_in"] > 1 else {}),
                "sample": as_sent(telemetry_pb2.Sample.FromString(row["sample"])),
            }
            for row in sorted(rows, key=lambda row: row["sequence"], reverse=True)
        ],
    }


def as_sent(message: Message) -> dict[str, Any]:
    """The fields that are sent, by their names on the wire: bytes as base64, enums by name, times
    as they are."""
    return {field.name: _readable(field, value) for field, value in message.ListFields()}


def _readable(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return base64.b64encode(value).decode() if field.type == FieldDescriptor.TYPE_BYTES else value


def iso(when: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond."""
    if when is None:
        return None
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
