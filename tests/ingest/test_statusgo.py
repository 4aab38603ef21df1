"""Bodies of status-go clients: all their quirks, and everything else that a body may have."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devtelemetry.ingest import statusgo
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.statusgo import Refused, Report, Unreadable, read_record_metrics
from devtelemetry.model import HOUR_MS, EnvelopeEvent, SaidOfEnvelope, Sample, Source
from oracle.model import OracleSample
from oracle.recording import read_recording, recording_path, to_samples
from oracle.samples import EnvelopeEvent as OracleEvent

NOW = 1_772_456_400_000  # 2026-03-02 13:00 UTC
LIMITS = AgeLimits()
KEY = "0x" + "ab" * 32
PEER = "16Uiu2HAkvWiyFsgRhuJEb9JfjYxEkoHLgnUQmr1N5mKWnYjxYRVm"


def common(**fields: Any) -> dict[str, Any]:
    """The fields that the client puts into each item."""
    return {
        "deviceType": "desktop",
        "nodeName": "alice",
        "peerId": PEER,
        "statusVersion": "v3.5.0",
        "timestamp": NOW // 1000 - 5,
    } | fields


def entry(**fields: Any) -> dict[str, Any]:
    """An entry of a ReceivedMessages item, for one message."""
    return common(
        chatId="chat",
        messageHash="0x68617368",
        messageId="0x313233",
        messageSize=300,
        messageType="CHAT_MESSAGE",
        pubsubTopic="/waku/2/rs/16/32",
        receiverKeyUID=KEY,
        sentAt=NOW // 1000 - 10,
        topic="0x4b4ffddd",
    ) | dict(fields)


def item(kind: Any = "ReceivedMessages", data: Any = None, number: int = 0) -> dict[str, Any]:
    return {"id": number, "telemetry_type": kind, "telemetry_data": data}


def read(*items: Any) -> Report:
    return read_record_metrics(json.dumps(items).encode(), LIMITS, NOW)


def facts(sample: Sample | OracleSample) -> tuple[str | int | None, ...]:
    return (
        sample.channel_id,
        sample.message_id,
        sample.receiver_public_key,
        sample.installation_id,
        sample.sent_at,
        sample.created_at,
        sample.message_type,
        sample.envelope_id,
    )


GOOD = item(data=[entry(messageId="0xgood")])
GOOD_BYTES = json.dumps(GOOD).encode()


def good_ones(report: Report) -> int:
    return sum(sample.message_id == "0xgood" for sample in report.samples)


# Samples


def test_a_received_message_becomes_a_sample() -> None:
    report = read(item(data=[entry()]))
    assert report == Report(
        samples=[
            Sample(
                message_id="0x313233",
                channel_id="chat",
                receiver_public_key=KEY,
                sent_at=NOW - 10_000,
                created_at=NOW,
                installation_id=PEER,
                sent_by_receiver=False,
                topics=b"0x4b4ffddd",
                envelope_id="0x68617368",
                received_at=0,
                message_type="CHAT_MESSAGE",
                message_size=300,
                platform="desktop",
                app_version="v3.5.0",
                source=Source.STATUS_GO,
            )
        ]
    )


@pytest.mark.parametrize("name", ["status-go-quirks.ndjson.gz", "status-go-small.ndjson.gz"])
def test_recorded_traffic_reads_as_the_oracle_reads_it(name: str) -> None:
    path = recording_path(name)
    assert path is not None
    recording = read_recording(path)
    samples: list[Sample] = []
    envelopes: set[SaidOfEnvelope] = set()
    rejections: Counter[str] = Counter()
    for request in recording:
        if request.path == "/record-metrics":
            report = read_record_metrics(request.body.encode(), LIMITS, request.t_ms)
            samples += report.samples
            envelopes |= {e._replace(created_at=0) for e in report.said_of_envelopes}
            rejections += report.rejections

    expected = to_samples(recording)
    assert rejections == expected.rejected
    assert list(map(facts, samples)) == list(map(facts, expected.receipts))
    senders = {
        e.envelope_id: (e.receiver_public_key, e.installation_id)
        for e in envelopes
        if e.event is EnvelopeEvent.SENT
    }
    assert {facts_of_event(e) for e in envelopes} == set(map(facts_of_event, expected.events))
    marks = {
        (s.channel_id, s.message_id, *senders[s.envelope_id])
        for s in samples
        if s.envelope_id in senders
    }
    sent = [e for e in envelopes if e.event is EnvelopeEvent.SENT]
    assert len(senders) == len(sent)  # no envelope has two senders here
    assert marks == {
        (m.channel_id, m.message_id, m.receiver_public_key, m.installation_id)
        for m in expected.samples
        if m.created_at is None
    }


def facts_of_event(event: SaidOfEnvelope | OracleEvent) -> tuple[str, ...]:
    kind = event.event.name.lower() if isinstance(event, SaidOfEnvelope) else event.kind
    return (
        kind,
        event.envelope_id,
        event.installation_id,
        event.receiver_public_key,
        event.reason,
    )


def test_no_data_is_no_messages_and_no_fault() -> None:
    assert read(item(data=None), item(data=[])) == Report()


@pytest.mark.parametrize("body", [b"[]", b"null", b" [ ] \n"])
def test_no_items_are_no_fault(body: bytes) -> None:
    assert read_record_metrics(body, LIMITS, NOW) == Report()


def test_a_backlog_of_5001_items_is_read_whole() -> None:
    items = [item(data=[entry(messageId=f"0x{n}")], number=n) for n in range(5001)]
    assert len(read(*items).samples) == 5001


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"messageId": "0x"}, "missing_field"),
        ({"messageId": ""}, "missing_field"),
        ({"messageId": None}, "missing_field"),
        ({"messageId": 7}, "missing_field"),
        ({"messageId": ["0x1"]}, "missing_field"),
        ({"messageId": "a\0b"}, "missing_field"),
        ({"messageId": "m" * 513}, "too_long"),
        ({"messageId": "ä" * 257}, "too_long"),
        ({"chatId": ""}, "missing_field"),
        ({"chatId": {}}, "missing_field"),
        ({"receiverKeyUID": ""}, "missing_field"),
        ({"receiverKeyUID": True}, "missing_field"),
        ({"sentAt": 0}, "missing_field"),
        ({"sentAt": None}, "missing_field"),
        ({"sentAt": True}, "missing_field"),
        ({"sentAt": "1772456390"}, "missing_field"),
        ({"sentAt": 1.5}, "missing_field"),
        ({"sentAt": 1}, "not_milliseconds"),
        ({"sentAt": -1}, "not_milliseconds"),
        ({"sentAt": 2**63}, "not_milliseconds"),
        ({"sentAt": NOW // 1000 - 9 * 86_400}, "too_old"),
        ({"sentAt": NOW // 1000 + 3601}, "in_the_future"),
        ({"deviceType": "d" * 129}, "too_long"),
        ({"topic": "t" * 4097}, "too_long"),
    ],
)
def test_a_sample_is_refused_for_a_reason(fields: dict[str, Any], reason: str) -> None:
    report = read(item(data=[entry(**fields), entry(messageId="0xgood")]), GOOD)
    assert report.rejections == {reason: 1}
    assert good_ones(report) == 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"messageSize": -1}, {"message_size": 0}),
        ({"messageSize": 2**40}, {"message_size": 0}),
        ({"messageSize": True}, {"message_size": 0}),
        ({"messageSize": "300"}, {"message_size": 0}),
        ({"messageSize": 1e300}, {"message_size": 0}),
        ({"messageType": "9999"}, {"message_type": "9999"}),
        ({"messageType": 9999}, {"message_type": "9999"}),
        ({"messageType": None}, {"message_type": ""}),
        ({"messageType": False}, {"message_type": ""}),
        ({"messageHash": "0x"}, {"envelope_id": ""}),
        ({"messageHash": 5}, {"envelope_id": ""}),
        ({"peerId": None}, {"installation_id": ""}),
        ({"deviceType": ""}, {"platform": ""}),
        ({"deviceType": 1}, {"platform": ""}),
        ({"topic": []}, {"topics": b""}),
        ({"topic": "ä"}, {"topics": "ä".encode()}),
        ({"chatId": "José \u2028"}, {"channel_id": "José \u2028"}),
    ],
)
def test_what_need_not_be_said_costs_no_sample(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    (sample,) = read(item(data=[entry(**fields)])).samples
    assert {name: getattr(sample, name) for name in expected} == expected


def test_of_keys_that_come_twice_the_last_one_counts() -> None:
    twice = GOOD_BYTES.replace(b'"chatId": "chat"', b'"chatId": 1, "chatId": "last"')
    (sample,) = read_record_metrics(b"[" + twice + b"]", LIMITS, NOW).samples
    assert sample.channel_id == "last"


# Authors


def test_a_sent_envelope_names_an_author() -> None:
    # The real client may write sentAt 0 or 1.
    sent = common(messageHash="0x01", senderKeyUID=KEY, sentAt=1)
    assert read(item("SentEnvelope", sent)) == Report(
        said_of_envelopes=[SaidOfEnvelope(EnvelopeEvent.SENT, "0x01", PEER, NOW, KEY)]
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (common(senderKeyUID=KEY, messageHash="0x"), "missing_field"),
        (common(senderKeyUID=KEY), "missing_field"),
        (common(senderKeyUID="", messageHash="0x01"), "missing_field"),
        (common(senderKeyUID=3, messageHash="0x01"), "missing_field"),
        (common(senderKeyUID=KEY, messageHash="0\0"), "missing_field"),
        (common(senderKeyUID=KEY, messageHash="0" * 513), "too_long"),
        (common(senderKeyUID=KEY, messageHash="0x01", peerId="p" * 513), "too_long"),
        (None, "wrong_shape"),
        ([], "wrong_shape"),
        ("text", "wrong_shape"),
    ],
)
def test_a_sent_envelope_is_refused_for_a_reason(data: object, reason: str) -> None:
    report = read(item("SentEnvelope", data), GOOD)
    assert report.rejections == {reason: 1}
    assert not report.said_of_envelopes
    assert good_ones(report) == 1


# Items of other types


@pytest.mark.parametrize("kind", ["PeerCount", "UpdateEnvelope", "Any\0", "T" * 129])
def test_of_another_type_nothing_is_kept_but_how_many_there_are(kind: str) -> None:
    data = common(nodeKeyUID=KEY, error="e" * 16_400)
    assert read(item(kind, data, 1), item(kind, {}, 2)) == Report(not_kept=2)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (item("Any", None), "wrong_shape"),
        (item("Any", []), "wrong_shape"),
        (item("Any", 5), "wrong_shape"),
        (item("", {}), "wrong_shape"),
        (item(None, {}), "wrong_shape"),
        (item(7, {}), "wrong_shape"),
        (item("ReceivedMessages", {}), "wrong_shape"),
        (item("ReceivedMessages", "text"), "wrong_shape"),
        (item("ReceivedMessages", [5]), "wrong_shape"),
        (item("ReceivedMessages", [None]), "wrong_shape"),
        ({}, "wrong_shape"),
        (5, "wrong_shape"),
        (None, "wrong_shape"),
        ([], "wrong_shape"),
        (["nested"], "wrong_shape"),
        ("text", "wrong_shape"),
    ],
)
def test_a_bad_item_costs_itself_only(bad: object, reason: str) -> None:
    report = read(GOOD, bad, GOOD)
    assert report.rejections == {reason: 1}
    assert good_ones(report) == 2
    assert not report.not_kept


@pytest.mark.parametrize("depth", [15, 200, 800])
def test_what_is_nested_deep_is_read(depth: int) -> None:
    nested: object = 0
    for _ in range(depth):
        nested = [nested]
    report = read(item("Any", {"a": nested}), item("Any", {}, 0) | {"id": nested}, GOOD)
    assert report.not_kept == 2
    assert good_ones(report) == 1


# Bodies that a strict reader would refuse


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"telemetry_type":}', "not_json"),
        (b"nonsense", "not_json"),
        (b"{'a': 1}", "not_json"),
        (b"[" * 5_000 + b"]" * 5_000, "not_json"),
        (b'{"a":' * 5_000 + b"0" + b"}" * 5_000, "not_json"),
        (b'["' + b"a" * 2**20 + b'\xff"]', "too_large"),
        (b"NaN", "wrong_shape"),
        (b"1e999", "wrong_shape"),
        (b"9" * 5_000, "wrong_shape"),
        (b'"\xff[{,"', "wrong_shape"),
        (b'"\\ud800"', "wrong_shape"),
        (b'"\\"]"' + b"\xff", "not_json"),
        (b'"tab\there"', "wrong_shape"),
    ],
)
def test_an_item_that_is_no_json_costs_itself_only(bad: bytes, reason: str) -> None:
    body = b"[" + b", ".join([GOOD_BYTES, bad, GOOD_BYTES]) + b"]"
    report = read_record_metrics(body, LIMITS, NOW)
    assert report.rejections == {reason: 1}
    assert good_ones(report) == 2


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (b'"a\xff\xfeb"', "a��b"),
        (b'"a\\ud800b"', "a?b"),
        (b'"\\ude00\\ud83d"', "??"),
        (b'"\xed\xa0\x80"', "���"),
        (b"NaN", ""),
        (b"-Infinity", ""),
        (b"1e999", ""),
        (b"9" * 400, ""),
        (b"9" * 5_000, ""),
        (b"99999999999999999999", ""),
        (b'"\\ud83d\\ude00 \\u0000 \xff"', "😀 \0 �"),
    ],
)
def test_a_bad_string_or_number_costs_itself_only(written: bytes, read_as: str) -> None:
    # A real client does not send these: Go itself replaces bad UTF-8 and refuses NaN.
    body = json.dumps([item(data=[entry(messageType="HERE")]), GOOD]).encode()
    report = read_record_metrics(body.replace(b'"HERE"', written), LIMITS, NOW)
    assert report.samples[0] == read(item(data=[entry()])).samples[0]._replace(message_type=read_as)
    assert good_ones(report) == 1
    assert not report.rejections


def test_a_bad_string_costs_no_message_beside_it_in_the_same_item() -> None:
    body = json.dumps([item(data=[entry(nodeName="HERE"), entry(messageId="0xgood")])]).encode()
    report = read_record_metrics(body.replace(b"HERE", b"\xff\\ud800"), LIMITS, NOW)
    assert len(report.samples) == 2


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"\xef\xbb\xbf[" + GOOD_BYTES + b"]", 0),  # a byte order mark
        (b"[" + GOOD_BYTES + b",]", 0),
        (b"[" + GOOD_BYTES, 1),
        (b"[" + GOOD_BYTES + b',{"id":1,"telemetry', 2),
        (b"[" + GOOD_BYTES + b"] and more", 1),
        (b"[" + GOOD_BYTES + b"]]", 1),
    ],
)
def test_what_is_whole_in_a_broken_array_is_kept(body: bytes, refused: int) -> None:
    report = read_record_metrics(body, LIMITS, NOW)
    assert good_ones(report) == 1
    assert report.rejections.total() == refused


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Refused.NOT_JSON),
        (b"<html>", Refused.NOT_JSON),
        (b'{"a":', Refused.NOT_JSON),
        (b"\xff\xfe", Refused.NOT_JSON),
        (b'{"telemetry_type":"PeerCount"}', Refused.NOT_AN_ARRAY),
        (b"5", Refused.NOT_AN_ARRAY),
        (b'"[]"', Refused.NOT_AN_ARRAY),
        (b"false", Refused.NOT_AN_ARRAY),
    ],
)
def test_a_body_without_items_is_unreadable(body: bytes, reason: Refused) -> None:
    with pytest.raises(Unreadable) as caught:
        read_record_metrics(body, LIMITS, NOW)
    assert caught.value.reason is reason
    assert str(caught.value)


# Forged bodies


def test_more_than_any_client_has_to_say_is_counted_and_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statusgo, "MAX_REPORTS", 3)
    report = read(item(data=[entry(), entry()]), *[item("Any", {}, n) for n in range(5)])
    assert (len(report.samples), report.not_kept) == (2, 1)
    assert report.rejections == {"too_many": 4}


def test_countless_small_objects_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statusgo, "_MOST_CONTAINERS", 10)
    report = read(*[{}] * 20, GOOD)
    assert report.rejections == {"wrong_shape": 20}
    assert good_ones(report) == 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "body",
    [
        b'["' + b'\\"' * 2**20,
        b"[" + b'"' * 2**21,
        b'["' + b"\\" * 2**21,
        b"[" + b"," * 2**21,
        b"[" * 2**21,
        b"[" + b"]" * 2**21,
        b"[" + b"a" * 2**21,
        b"[" + b"{},," * 2**19,
        b"[" + b"9" * 2**21 + b"]",
    ],
    ids=lambda body: repr(body[:6]),
)
def test_no_body_takes_longer_than_its_length_allows(body: bytes) -> None:
    read_record_metrics(body, LIMITS, NOW)


# Laws

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
names = (
    st.sampled_from([*entry(), "telemetry_type", "telemetry_data", "id", "nodeKeyUID"])
    | st.text(max_size=5)
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=20,
)
entries = st.dictionaries(st.sampled_from([*entry()]), values).map(lambda odd: entry() | odd)
items = st.builds(
    item,
    st.sampled_from(["ReceivedMessages", "SentEnvelope", "PeerCount"]) | values,
    st.lists(entries | values, max_size=4) | entries | values,
    st.integers(),
)
# Python's json writes NaN and lone surrogates, which are not valid JSON. The test needs them.
pieces = (
    st.one_of(items, values).map(json.dumps).map(str.encode)
    | st.binary(max_size=30).filter(lambda text: not set(text) & set(b'"[]{},\\'))
)  # fmt: skip


def writable(report: Report) -> bool:
    """Whether the writer and PostgreSQL can store everything in the report."""
    for sample in report.samples:
        for text in sample:
            assert not isinstance(text, str) or text.encode() is not None
        assert 0 <= sample.message_size < 2**32
        assert "\0" not in sample.message_id + sample.channel_id
    for sent in report.said_of_envelopes:
        assert sent.receiver_public_key.encode()
        assert sent.envelope_id.encode()
    assert all(count > 0 for count in report.rejections.values())
    return True


@given(st.binary() | values.map(json.dumps).map(str.encode))
@example(b'[{"a":{"\\u0000":"\\ud800"}}]')
def test_whatever_the_body_it_is_read_or_unreadable(body: bytes) -> None:
    try:
        report = read_record_metrics(body, LIMITS, NOW)
    except Unreadable:
        return
    assert writable(report)


@given(st.lists(pieces, max_size=5), st.integers(0, 5))
def test_good_samples_survive_beside_anything(odd: list[bytes], position: int) -> None:
    odd.insert(min(position, len(odd)), GOOD_BYTES)
    report = read_record_metrics(b"[" + b",".join(odd) + b"]", LIMITS, NOW)
    assert good_ones(report) >= 1
    assert writable(report)


@given(st.lists(items, max_size=5))
def test_read_one_by_one_a_batch_reads_as_at_once(batch: list[dict[str, Any]]) -> None:
    # NaN or half of a surrogate pair makes orjson refuse the whole body.
    body = json.dumps(batch).encode()
    at_once = read_record_metrics(body, LIMITS, NOW)
    one_by_one = read_record_metrics(body[:-1] + b',"\xff"]', LIMITS, NOW)
    one_by_one.rejections[Refused.WRONG_SHAPE] -= 1
    assert +one_by_one.rejections == at_once.rejections
    assert one_by_one.samples == at_once.samples
    assert one_by_one.said_of_envelopes == at_once.said_of_envelopes
    assert one_by_one.not_kept == at_once.not_kept


@given(st.lists(items, max_size=5), st.integers(0, 10 * HOUR_MS))
def test_a_batch_that_is_sent_again_the_same_day_gives_the_same_rows(
    batch: list[dict[str, Any]], later_ms: int
) -> None:
    body = json.dumps(batch).encode()
    first = read_record_metrics(body, LIMITS, NOW)
    again = read_record_metrics(body, LIMITS, NOW + later_ms)
    assert again.not_kept == first.not_kept
    assert [s._replace(created_at=NOW) for s in again.samples] == first.samples
    assert [s._replace(created_at=NOW) for s in again.said_of_envelopes] == first.said_of_envelopes
