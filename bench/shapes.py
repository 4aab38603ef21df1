"""One request in the forms that the doors take."""

import base64
from typing import Any

from google.protobuf import json_format

from devtelemetry.v1 import telemetry_pb2
from support.http_push import Encoding


def headers_of(encoding: Encoding, *, is_packed: bool) -> dict[str, str]:
    packing = encoding.packing if is_packed else {}
    return {"content-type": encoding.content_type, **packing}


def encoded(encoding: Encoding, request: telemetry_pb2.PushRequest) -> bytes:
    if encoding.is_json:
        return json_format.MessageToJson(request).encode()
    return request.SerializeToString()


def statusgo_items(request: telemetry_pb2.PushRequest) -> list[dict[str, Any]]:
    """The request as items of status-go's clients."""
    who = request.reporter
    entries = [
        {
            "chatId": one.channel_id,
            "deviceType": who.platform,
            "messageHash": one.envelope_id,
            "messageId": one.message_id,
            "messageType": one.message_type,
            "messageSize": one.message_size,
            "peerId": who.installation_id,
            "receiverKeyUID": who.receiver_public_key,
            "sentAt": one.sent_at // 1000,
            "statusVersion": who.app_version,
            "topic": "0x4b4ffddd",
        }
        for one in request.samples
    ]
    sent = {
        "senderKeyUID": who.receiver_public_key,
        "messageHash": "0x01",
        "peerId": who.installation_id,
    }
    return [
        {"id": 0, "telemetry_type": "ReceivedMessages", "telemetry_data": entries},
        {"id": 1, "telemetry_type": "SentEnvelope", "telemetry_data": sent},
    ]


def line_of(request: telemetry_pb2.PushRequest, created_at: int) -> dict[str, Any]:
    """The first sample of a request as a line of a file."""
    one, who = request.samples[0], request.reporter
    return {
        "messageId": one.message_id,
        "channelId": one.channel_id,
        "receiverPublicKey": who.receiver_public_key,
        "installationId": who.installation_id,
        "sentAt": one.sent_at,
        "createdAt": created_at,
        "receivedAt": one.received_at,
        "topics": base64.b64encode(one.topics).decode(),
        "messageType": one.message_type,
        "messageSize": one.message_size,
    }
