"""The module for matrix-nio, event by event: what it reports, and that it changes no event."""

import copy
from pathlib import Path
from typing import Any

import pytest

from support.ci import needs_package

needs_package("nio")

import nio  # noqa: E402

from devtelemetry.client import SentAtClock, Settings, Via  # noqa: E402
from devtelemetry.integrations.nio import attach  # noqa: E402
from support.told import Call, Told  # noqa: E402

OWN, ROOM = "@ann:matrix.example", "!room:matrix.example"
NOW = 1_772_445_600_000
SENT_AT = NOW - 5_000
TEXT = {"msgtype": "m.text", "body": "text"}
MEGOLM = {
    "algorithm": "m.megolm.v1.aes-sha2",
    "ciphertext": "AwgA",
    "sender_key": "key",
    "device_id": "BEN",
    "session_id": "session",
}


def event(
    event_id: str = "$1", content: Any = None, kind: str = "m.room.message", **more: Any
) -> dict[str, Any]:
    return {
        "type": kind,
        "event_id": event_id,
        "sender": "@ben:matrix.example",
        "origin_server_ts": SENT_AT,
        "room_id": ROOM,
        "content": TEXT if content is None else content,
        **more,
    }


def member(membership: str, before: str | None = None, at: int = SENT_AT) -> dict[str, Any]:
    unsigned = {} if before is None else {"prev_content": {"membership": before}}
    return event(
        f"$member{at}",
        {"membership": membership},
        "m.room.member",
        state_key=OWN,
        sender=OWN,
        unsigned=unsigned,
        origin_server_ts=at,
    )


class Client:
    """A nio client with the module, which the test gives responses."""

    def __init__(self, told: Told, answer: Any = None) -> None:
        self.nio = nio.AsyncClient("http://127.0.0.1:9", OWN)
        self.nio.user_id = OWN  # as a login does
        self.told = told
        self.sent: list[tuple[Any, ...]] = []

        async def room_send(*arguments: Any, **named: Any) -> Any:
            self.sent.append((arguments, named))
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.nio.room_send = room_send
        attach(self.nio, told)
        self._syncs = 0

    def response(self, events: list[dict[str, Any]], where: str = "join", **timeline: Any) -> Any:
        self._syncs += 1
        room = {
            "timeline": {"events": events, "limited": False, "prev_batch": "p", **timeline},
            "state": {"events": []},
            "ephemeral": {"events": []},
            "account_data": {"events": []},
        }
        rooms = {"join": {}, "leave": {}, "invite": {}, where: {ROOM: room}}
        return nio.SyncResponse.from_dict(
            {
                "next_batch": f"s{self._syncs}",
                "rooms": rooms,
                "to_device": {"events": []},
                "device_one_time_keys_count": {},
            }
        )

    async def sync(self, *events: dict[str, Any], **room: Any) -> list[Call]:
        """The reported calls, except that the device is in the room."""
        await self.nio.receive_response(self.response(list(events), **room))
        return [call for call in self.told.taken() if call.fields.get("at") != 10**11]

    async def read_history(self, *events: dict[str, Any]) -> list[Call]:
        answer = nio.RoomMessagesResponse.from_dict(
            {"chunk": list(events), "start": "a", "end": "b"}, ROOM
        )
        await self.nio.receive_response(answer)
        return self.told.taken()


@pytest.fixture
def told(tmp_path: Path) -> Told:
    settings = Settings(tmp_path / "node.db", clock=lambda: NOW)
    settings.enable()
    return Told(settings, "127.0.0.1:9")


@pytest.fixture
async def client(told: Told) -> Client:
    made = Client(told)
    (call,) = await made.sync()
    assert (call.name, call.channel) == ("channels_are", [ROOM])
    return made


async def test_a_message_has_the_servers_time(client: Client) -> None:
    (call,) = await client.sync(event())
    assert call == Call(
        "message_received",
        ROOM,
        {
            "message_id": "$1",
            "sent_at": SENT_AT,
            "sent_at_clock": SentAtClock.SERVER,
            "received_at": NOW,
            "message_type": "m.text",
            "message_size": 4,
            "via": Via.LIVE,
        },
    )
    assert await client.read_history(event()) == [], "it came live before"


async def test_what_came_while_away_is_history(told: Told, client: Client) -> None:
    (call,) = await client.read_history(event())
    assert call.fields["via"] is Via.HISTORY
    (call,) = await client.sync(event("$2"), limited=True)
    assert call.fields["via"] is Via.HISTORY
    first = await Client(told).sync(event("$3"))
    assert [c.fields["via"] for c in first if c.name == "message_received"] == [Via.HISTORY]


async def test_what_this_device_sent_is_known_by_the_answer_and_by_the_echo(told: Told) -> None:
    client = Client(told, nio.RoomSendResponse("$own", ROOM))
    await client.sync()
    answer = await client.nio.room_send(ROOM, "m.room.message", TEXT, tx_id="t1")
    assert answer.event_id == "$own"
    assert client.sent == [((ROOM, "m.room.message", TEXT), {"tx_id": "t1"})]
    (call,) = told.taken()
    assert (call.name, call.fields["message_id"], call.fields["sent_at"]) == (
        "message_sent",
        "$own",
        NOW,
    )
    (call,) = await client.sync(event("$own", sender=OWN))
    assert (call.name, call.fields["sent_at"]) == ("message_sent", SENT_AT)
    assert call.fields["sent_at_clock"] is SentAtClock.SERVER
    (call,) = await client.sync(event("$x", sender=OWN, unsigned={"transaction_id": "t2"}))
    assert call.name == "message_sent"
    (call,) = await client.sync(event("$second device", sender=OWN))
    assert call.name == "message_received"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (nio.RoomSendError("no", "M_FORBIDDEN", room_id=ROOM), "m_forbidden"),
        (nio.LocalProtocolError("no"), "localprotocolerror"),
    ],
    ids=["refused", "raised"],
)
async def test_what_was_not_sent_failed(told: Told, answer: Any, reason: str) -> None:
    client = Client(told, answer)
    if isinstance(answer, Exception):
        with pytest.raises(nio.LocalProtocolError):
            await client.nio.room_send(ROOM, "m.room.message", TEXT)
    else:
        assert await client.nio.room_send(ROOM, "m.room.message", TEXT) is answer
    (call,) = told.taken()
    assert (call.name, call.channel, call.fields["reason"]) == ("send_failed", ROOM, reason)
    assert told.settings.status().faults == {}


async def test_a_reaction_is_no_message(told: Told) -> None:
    client = Client(told, nio.RoomSendResponse("$own", ROOM))
    await client.sync()
    relation = {"rel_type": "m.annotation", "event_id": "$1", "key": "+"}
    content = {"m.relates_to": relation}
    await client.nio.room_send(ROOM, "m.reaction", content)
    assert told.taken() == []
    redacted = {"redacted_because": {"sender": OWN, "content": {}}}
    reactions = (
        event("$2", content, "m.reaction"),
        event("$3", {}, "m.reaction", unsigned=redacted),
        event("$4", {"name": "new"}, "m.room.name", state_key=""),
    )
    assert await client.sync(*reactions) == []


async def test_an_edit_is_a_message_of_its_own_type(client: Client) -> None:
    relation = {"rel_type": "m.replace", "event_id": "$0"}
    (call,) = await client.sync(event("$1", {**TEXT, "m.relates_to": relation}))
    assert call.fields["message_type"] == "EDIT"


async def test_what_was_redacted_before_it_came_is_held(client: Client) -> None:
    redacted = {"redacted_because": {"sender": OWN, "content": {}}}
    (call,) = await client.sync(event("$1", {}, unsigned=redacted))
    assert (call.name, call.fields["message_id"]) == ("message_received", "$1")


async def test_what_cannot_be_read_is_unreadable_until_the_app_decrypts_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    (call,) = await client.sync(event("$1", MEGOLM, "m.room.encrypted"))
    assert (call.name, call.fields["message_id"], call.fields["reason"]) == (
        "message_unreadable",
        "$1",
        "no_encryption",
    )
    assert await client.read_history(event("$1", MEGOLM, "m.room.encrypted")) == []
    (call,) = await client.sync(event("$2", {"msgtype": "m.text"}))
    assert (call.name, call.fields["reason"]) == ("message_unreadable", "malformed")

    plain = nio.Event.parse_event(event("$1"))
    encrypted = nio.Event.parse_event(event("$1", MEGOLM, "m.room.encrypted"))
    late = nio.AsyncClient("http://127.0.0.1:9", OWN)
    monkeypatch.setattr(late, "decrypt_event", lambda _: plain)
    attach(late, client.told)
    assert late.decrypt_event(encrypted) is plain
    (call,) = client.told.taken()
    assert (call.name, call.fields["message_id"]) == ("message_received", "$1")


async def test_a_new_name_is_no_joining_and_a_leave_ends_the_stay(told: Told) -> None:
    client = Client(told)
    joined, *_ = await client.sync(member("join", at=NOW - 9_000))
    assert (joined.name, joined.channel, joined.fields) == (
        "channel_joined",
        ROOM,
        {"at": NOW - 9_000},
    )
    assert await client.sync(member("join", "join", NOW - 8_000)) == []
    (left,) = await client.sync(member("leave", "join", NOW - 7_000), where="leave")
    assert (left.name, left.fields) == ("channel_left", {"at": NOW - 7_000})
    (again,) = await client.sync(member("join", "leave", NOW - 6_000))
    assert (again.name, again.fields) == ("channel_joined", {"at": NOW - 6_000})


async def test_events_and_what_is_sent_are_the_same_with_and_without_the_module(
    client: Client, told: Told
) -> None:
    events = [
        event(),
        event("$2", MEGOLM, "m.room.encrypted"),
        event("$3", {"msgtype": "m.text"}),
        member("join", "join"),
    ]
    seen: dict[str, list[Any]] = {"with": [], "without": []}
    for which, matrix in (("with", client.nio), ("without", nio.AsyncClient("http://x", OWN))):
        matrix.add_event_callback(
            lambda _, e, w=which: seen[w].append(copy.deepcopy(vars(e))),
            (nio.Event, nio.BadEvent),
        )
        response = client.response(copy.deepcopy(events))
        response.next_batch = which
        await matrix.receive_response(response)
        seen[which].append([vars(e) for e in response.rooms.join[ROOM].timeline.events])
    assert len(seen["with"]) == 5
    assert seen["with"] == seen["without"]


async def test_what_the_app_is_handed_is_reported_before_it_can_fail(told: Told) -> None:
    """A killed process or a raising handler loses nothing, although nio's next sync has begun."""
    matrix = nio.AsyncClient("http://127.0.0.1:9", OWN)
    reported: list[list[str]] = []

    async def handle(_: nio.MatrixRoom, handed: nio.Event) -> None:
        reported.append([call.fields.get("message_id", "") for call in told.taken()][-1:])
        if handed.event_id == "$2":
            raise RuntimeError

    matrix.add_event_callback(handle, nio.Event)
    attach(matrix, told)
    response = Client(told).response([event(), event("$2"), event("$3")])
    with pytest.raises(RuntimeError):
        await matrix.receive_response(response)
    assert reported == [["$1"], ["$2"]]
    assert told.taken() == [], "what nobody was handed"


async def test_a_failure_reaches_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    vars(client.told)["message_received"] = None
    assert await client.sync(event()) == []
    assert [record.name for record in caplog.records] == ["devtelemetry.integrations"]
