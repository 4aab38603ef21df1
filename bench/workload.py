"""What the benchmarks send: new samples, as Status clients would report them.

Each message belongs to one of CHANNELS channels, and each of its receivers reports it within a
short span. A request has the messages that came to one installation since its last request.
"""

import base64
import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import orjson

from devtelemetry.v1 import telemetry_pb2

CHANNELS = 200
RECEIVERS = 25


@dataclass(frozen=True, slots=True)
class Workload:
    """`messages` messages, numbered from `first_message` on; workloads must not overlap.

    samples_per_request  `messages` must be a multiple of it
    receivers            of each message, out of RECEIVERS installations
    start_ms             sentAt of the first message, Unix ms
    messages_per_second  of event time
    """

    first_message: int
    messages: int
    samples_per_request: int
    start_ms: int
    messages_per_second: float
    receivers: int = RECEIVERS

    @property
    def samples(self) -> int:
        return self.messages * self.receivers

    def requests(self) -> Iterator[telemetry_pb2.PushRequest]:
        """The requests: for each block of messages one from each of its receivers."""
        for block in range(self.messages // self.samples_per_request):
            first = block * self.samples_per_request
            samples = [self._sample(first + offset) for offset in range(self.samples_per_request)]
            author = block % self.receivers
            for position in range(self.receivers):
                yield telemetry_pb2.PushRequest(
                    samples=samples if position != author else [_sent(one) for one in samples],
                    reporter=_REPORTERS[(block * self.receivers + position) % RECEIVERS],
                )

    def lines(self) -> Iterator[bytes]:
        """The same samples as lines of a file, message by message, as `export` writes them."""
        for offset in range(self.messages):
            sample = self._sample(offset)
            message = orjson.dumps(
                {
                    "messageId": sample.message_id,
                    "channelId": sample.channel_id,
                    "sentAt": sample.sent_at,
                    "topics": base64.b64encode(sample.topics).decode(),
                    "envelopeId": sample.envelope_id,
                    "receivedAt": sample.received_at,
                    "messageType": sample.message_type,
                    "messageSize": sample.message_size,
                }
            )
            author = offset % self.receivers
            yield b"".join(
                message[:-1]
                + b',"createdAt":%d,' % (sample.sent_at + 900 + position)
                + (b'"sentByReceiver":true,' if position == author else b"")
                + _REPORTER_LINES[(offset * self.receivers + position) % RECEIVERS][1:]
                for position in range(self.receivers)
            )

    def _sample(self, offset: int) -> telemetry_pb2.Sample:
        number = self.first_message + offset
        digest = hashlib.sha256(b"message %d" % number).hexdigest()
        sent_at = self.start_ms + int(offset * 1000 / self.messages_per_second)
        return telemetry_pb2.Sample(
            message_id=f"0x{digest}",
            channel_id=_CHANNEL_IDS[int(digest[:8], 16) % CHANNELS],
            sent_at=sent_at,
            topics=_TOPICS[number % len(_TOPICS)],
            envelope_id=f"0x{digest[::-1]}",
            received_at=sent_at + 700,
            message_type="CHAT_MESSAGE",
            message_size=64 + number % 500,
        )


def device_request(
    device: int, channel: int, sent_at: Sequence[int], now_ms: int
) -> telemetry_pb2.PushRequest:
    """A device's push of the messages of its channel sent at these times, Unix ms; without any a
    heartbeat."""
    return telemetry_pb2.PushRequest(
        samples=[_message(channel, at) for at in sent_at],
        reporter=_reporter(device),
        client_time=now_ms,
    )


def _message(channel: int, sent_at: int) -> telemetry_pb2.Sample:
    digest = hashlib.sha256(b"message of %d at %d" % (channel, sent_at)).hexdigest()
    return telemetry_pb2.Sample(
        message_id=f"0x{digest}",
        channel_id=_channel_id(channel),
        sent_at=sent_at,
        received_at=sent_at + 700,
        message_type="CHAT_MESSAGE",
        message_size=64 + int(digest[:4], 16) % 500,
        via=telemetry_pb2.Sample.LIVE,
    )


def _sent(sample: telemetry_pb2.Sample) -> telemetry_pb2.Sample:
    copy = telemetry_pb2.Sample()
    copy.CopyFrom(sample)
    copy.sent_by_receiver = True
    return copy


@cache
def _channel_id(number: int) -> str:
    # Ids as in Status: a community's compressed key and the channel's UUID in it.
    key = hashlib.sha256(b"community %d" % (number // 8)).hexdigest()
    return f"0x02{key}{uuid.uuid5(uuid.NAMESPACE_OID, f'channel {number}')}"


def _reporter(number: int) -> telemetry_pb2.Reporter:
    return telemetry_pb2.Reporter(
        receiver_public_key="0x04" + hashlib.sha512(b"receiver %d" % number).hexdigest(),
        installation_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"installation {number}")),
        platform=("desktop", "android", "ios")[number % 3],
        app_version="2.36.1",
    )


_CHANNEL_IDS = [_channel_id(number) for number in range(CHANNELS)]
_REPORTERS = [_reporter(number) for number in range(RECEIVERS)]
_REPORTER_LINES = [
    orjson.dumps(
        {
            "receiverPublicKey": reporter.receiver_public_key,
            "installationId": reporter.installation_id,
            "platform": reporter.platform,
            "appVersion": reporter.app_version,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
    for reporter in _REPORTERS
]
_TOPICS = [hashlib.sha256(b"topic %d" % number).digest()[:4] for number in range(16)]
