"""A world's reports as the file that `import` reads, recorded when they would have come. Pure."""

from collections.abc import Iterator

import orjson

from devtelemetry.simulator.world import Action, World

REPORT_MS = 10_000  # a client's report of a message comes so long after it


def history_lines(world: World, until_ms: int) -> Iterator[bytes]:
    """One sample a line, as docs/protocol.md has them; those that were recorded by `until_ms`."""
    for operation, message in world.told():
        created_at = operation.at_ms + REPORT_MS
        if created_at > until_ms:
            continue
        node = world.nodes[operation.node]
        yield orjson.dumps(
            {
                "messageId": message.message_id,
                "channelId": message.channel_id,
                "receiverPublicKey": node.public_key,
                "installationId": f"{world.spec.fingerprint}-{node.number}",
                "sentAt": message.sent_at,
                "createdAt": created_at,
                "receivedAt": operation.at_ms + node.skew_ms,
                "sentByReceiver": operation.action is Action.WRITE,
                "platform": node.platform,
                "appVersion": node.app_version,
                "messageType": "CHAT_MESSAGE",
                "messageSize": message.size_bytes,
            }
        )
