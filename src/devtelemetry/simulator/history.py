"""The reports of a world's clients, as a file that `import` reads. Pure."""

from collections.abc import Iterator
from typing import Any

import orjson

from devtelemetry.simulator.reports import Part, Report, report
from devtelemetry.simulator.spec import World

REPORT_MS = 10_000  # from an event to the report of it


def history_lines(world: World, until_ms: int) -> Iterator[bytes]:
    """One JSON object a line, as in docs/protocol.md: all reports recorded by `until_ms`."""
    reports = report(world)
    for one in reports.arrived:
        if one.at_ms + REPORT_MS <= until_ms:
            yield orjson.dumps(_sample(world, one))
    for part in reports.parts:
        if part.joined_said_ms + REPORT_MS <= until_ms:
            yield orjson.dumps(_membership(world, part, until_ms))


def _sample(world: World, one: Report) -> dict[str, Any]:
    node, message = world.nodes[one.node], one.message
    return {
        "messageId": message.message_id,
        "channelId": message.channel_id,
        "receiverPublicKey": node.public_key,
        "installationId": _installation(world, one),
        "sequence": one.number,
        "sentAt": one.sent_at,
        "createdAt": one.at_ms + REPORT_MS,
        "receivedAt": one.at_ms,  # by the server's clock; for an author, when it wrote
        "sentByReceiver": one.is_author,
        "platform": node.platform,
        "appVersion": node.app_version,
        "messageType": one.message_type,
        "messageSize": message.size_bytes,
        "outcome": one.outcome.name.lower(),
        "reason": one.reason,
        "via": one.via.name.lower(),
        "sentAtClock": one.sent_at_clock.name.lower(),
        "server": node.server,
    }


def _membership(world: World, part: Part, until_ms: int) -> dict[str, Any]:
    said_at = part.joined_said_ms + REPORT_MS
    line = {
        "channelId": part.channel_id,
        "receiverPublicKey": world.nodes[part.node].public_key,
        "installationId": _installation(world, part),
        "joinedAt": part.joined_at,
        "joinedSaidAt": said_at,
        "leftAt": 0,  # still in
        "leftSaidAt": said_at,
    }
    if part.left_said_ms is not None and part.left_said_ms + REPORT_MS <= until_ms:
        line |= {"leftAt": part.left_at, "leftSaidAt": part.left_said_ms + REPORT_MS}
    return line


def _installation(world: World, of: Report | Part) -> str:
    return f"{world.spec.fingerprint}-{of.node}-{of.installation}"
