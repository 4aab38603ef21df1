"""A push as JSON, by proto3's JSON mapping, compared with Google's own writer."""

from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.ingest.push import Refused
from devtelemetry.ingest.push_json import read_push, write_response
from devtelemetry.model import Reason
from devtelemetry.v1 import telemetry_pb2

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_VALUES = {
    FieldDescriptor.TYPE_STRING: _TEXT,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_ENUM: st.integers(0, 3),
}


def messages(descriptor: Descriptor) -> st.SearchStrategy[dict[str, Any]]:
    """A JSON object with the fields of a message, with any values."""

    def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
        if field.message_type is None:
            return _VALUES[field.type]
        inner = messages(field.message_type)
        return st.lists(inner, max_size=3) if field.is_repeated else inner

    return st.fixed_dictionaries({}, optional={f.name: values(f) for f in descriptor.fields})


def sample_fault(**fields: Any) -> tuple[Reason, str]:
    decoded = read_push(orjson.dumps({"samples": [{"message_id": "good"}, fields]}))
    assert [one.message_id for one in decoded.request.samples] == ["good", ""]
    assert decoded.request.samples[1] == telemetry_pb2.Sample()
    return decoded.faults[1]


def refusal(body: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read_push(body)
    assert caught.value.answer.code.name == "INVALID_ARGUMENT"
    return caught.value.answer.details


@given(messages(telemetry_pb2.PushRequest.DESCRIPTOR), st.booleans(), st.booleans(), st.booleans())
def test_whatever_a_push_says_is_read_as_it_was_written(
    fields: dict[str, Any], own_names: bool, numbers: bool, zeros: bool
) -> None:
    request = telemetry_pb2.PushRequest(**fields)
    text = json_format.MessageToJson(
        request,
        preserving_proto_field_name=own_names,
        use_integers_for_enums=numbers,
        always_print_fields_with_no_presence=zeros,
    )
    decoded = read_push(text.encode())
    assert decoded.request == request
    assert decoded.faults == {}


@pytest.mark.parametrize(
    "written", ["1772445600000", '"1772445600000"', "1772445600000.0", "1.7724456e12"]
)
def test_a_number_may_be_in_quotes_or_a_whole_float(written: str) -> None:
    body = f'{{"samples": [{{"sentAt": {written}}}]}}'.encode()
    assert read_push(body).request.samples[0].sent_at == 1_772_445_600_000


def test_the_largest_numbers_keep_their_last_digit() -> None:
    body = b'{"first_sequence": 18446744073709551615, "client_time": "9007199254740993"}'
    request = read_push(body).request
    assert (request.first_sequence, request.client_time) == (2**64 - 1, 2**53 + 1)


@pytest.mark.parametrize(
    ("written", "bytes_"),
    [("//8=", b"\xff\xff"), ("__8=", b"\xff\xff"), ("__8", b"\xff\xff"), ("", b"")],
)
def test_bytes_are_base64_of_either_kind_with_or_without_padding(
    written: str, bytes_: bytes
) -> None:
    body = orjson.dumps({"samples": [{"topics": written}]})
    assert read_push(body).request.samples[0].topics == bytes_


def test_what_is_null_or_not_known_is_as_if_it_was_not_there() -> None:
    body = (
        b'{"new": {"a": [1]}, "reporter": null, "lost": null, "samples": [{"new": 1, "via": null}]}'
    )
    decoded = read_push(body)
    assert decoded.request == telemetry_pb2.PushRequest(samples=[telemetry_pb2.Sample()])
    assert decoded.faults == {}


@pytest.mark.parametrize(
    ("fields", "reason", "detail"),
    [
        (
            {"sent_at": "yesterday"},
            Reason.NOT_MILLISECONDS,
            'sent_at: "yesterday"; allowed: a whole',
        ),
        ({"sentAt": 1.5}, Reason.NOT_MILLISECONDS, "sentAt: 1.5; allowed: a whole number from 0"),
        ({"received_at": True}, Reason.NOT_MILLISECONDS, "received_at: true; allowed:"),
        ({"sent_at": -1}, Reason.NOT_MILLISECONDS, "sent_at: -1; allowed:"),
        ({"sent_at": 2**64 * 1.0}, Reason.NOT_MILLISECONDS, "to 18446744073709551615"),
        ({"message_size": 2**32}, Reason.MISSING_FIELD, "message_size: 4294967296; allowed:"),
        ({"message_id": 5}, Reason.MISSING_FIELD, "message_id: 5; allowed: text in quotes"),
        ({"topics": "*"}, Reason.MISSING_FIELD, 'topics: "*"; allowed: base64 in quotes'),
        ({"topics": "A"}, Reason.MISSING_FIELD, 'topics: "A"; allowed: base64 in quotes'),
        ({"topics": [1]}, Reason.MISSING_FIELD, "topics: [1]; allowed: base64 in quotes"),
        ({"sent_by_receiver": 1}, Reason.MISSING_FIELD, "sent_by_receiver: 1; allowed: true or"),
        ({"outcome": "LOST"}, Reason.MISSING_FIELD, 'outcome: "LOST"; allowed: HELD, UNREADABLE,'),
        ({"outcome": True}, Reason.MISSING_FIELD, "outcome: true; allowed: HELD,"),
        ({"outcome": 2**40}, Reason.MISSING_FIELD, "outcome: 1099511627776; allowed: HELD,"),
        ({"message_id": ["x" * 99]}, Reason.MISSING_FIELD, f'message_id: ["{"x" * 58}…; allowed:'),
    ],
)
def test_a_sample_that_cannot_be_read_costs_itself_alone(
    fields: dict[str, Any], reason: Reason, detail: str
) -> None:
    found = sample_fault(**{"channel_id": "c1", **fields})
    assert found[0] is reason
    assert detail in found[1]


@pytest.mark.parametrize("written", [b"7", b"null", b"[]", b'"x"'])
def test_what_is_no_sample_costs_itself_alone(written: bytes) -> None:
    decoded = read_push(b'{"samples": [%s, {"message_id": "good"}]}' % written)
    assert [one.message_id for one in decoded.request.samples] == ["", "good"]
    assert decoded.faults[0].detail == f"the sample: {written.decode()}; allowed: an object"


def test_a_word_that_only_younger_clients_know_is_a_number_that_nobody_knows() -> None:
    """As by gRPC, it is ignored and counted if the message is known without it."""
    body = b'{"samples": [{"via": "CARRIER_PIGEON", "sent_at_clock": "MOON"}]}'
    decoded = read_push(body)
    assert decoded.faults == {}
    assert decoded.request.samples[0].via not in telemetry_pb2.Sample.Via.values()
    assert decoded.request.samples[0].sent_at_clock not in telemetry_pb2.Sample.Clock.values()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON: unexpected end of data: line 1 column 2"),
        (b'{"samples": [NaN]}', "not JSON"),
        (b'{"reporter": "\xff"}', "not JSON: str is not valid UTF-8"),
        (b'{"reporter": "\\ud800"}', "not JSON"),
        (b"[" * 100_000, "not JSON: depth limit exceeded"),
        (b"[]", "the request: []; allowed: an object"),
        (b'{"samples": {}}', "samples: {}; allowed: an array"),
        (b'{"reporter": 5}', "reporter: 5; allowed: an object"),
        (b'{"reporter": {"platform": 4}}', "reporter.platform: 4; allowed: text in quotes"),
        (b'{"memberships": [{}, {"joinedAt": "x"}]}', 'memberships[1].joinedAt: "x"; allowed: a'),
        (b'{"lost": [[]]}', "lost[0]: []; allowed: an object"),
        (b'{"forget": "yes"}', 'forget: "yes"; allowed: true or false'),
        (b'{"samples": [%s]}' % b",".join([b"{}"] * 5_001), "5001 samples in one request; allowed"),
    ],
)
def test_what_is_wrong_elsewhere_is_named_and_refuses_the_request(body: bytes, told: str) -> None:
    assert told in refusal(body)


def test_a_response_says_what_is_zero_too() -> None:
    reason = telemetry_pb2.Rejection.TOO_OLD
    rejection = telemetry_pb2.Rejection(index=0, reason=reason, detail="sent_at: …")
    response = telemetry_pb2.PushResponse(rejections=[rejection])
    assert orjson.loads(write_response(response)) == {
        "accepted": 0,
        "rejections": [{"index": 0, "reason": "TOO_OLD", "detail": "sent_at: …"}],
    }
