"""The module for slixmpp, stanza by stanza: what it reports, and that it changes no stanza."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from support.ci import needs_package

needs_package("slixmpp")

import slixmpp  # noqa: E402
from slixmpp.xmlstream import ET, tostring  # noqa: E402

import devtelemetry.integrations.slixmpp  # noqa: E402
from devtelemetry.client import SentAtClock, Settings, Via  # noqa: E402
from devtelemetry.integrations.core import Core  # noqa: E402
from support.clients import eventually  # noqa: E402
from support.told import Call, Told  # noqa: E402

OWN, ROOM = "ann@xmpp.example", "room@rooms.xmpp.example"
NOW = 1_772_445_600_000
STAMP = 1_772_445_000_000  # of the stamps below
_FORWARDED = (
    "<forwarded xmlns='urn:xmpp:forward:0'>"
    "<delay xmlns='urn:xmpp:delay' stamp='2026-03-02T09:50:00Z'/>{}</forwarded>"
)


class Wire:
    """Replaces the connection, and keeps the bytes that go out."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data


class Client:
    """A slixmpp client with or without the module, which the test gives stanzas."""

    def __init__(self, told: Told | None, **config: Any) -> None:
        self.xmpp = slixmpp.ClientXMPP(f"{OWN}/phone", "secret")
        for name in ("xep_0045", "xep_0280", "xep_0308", "xep_0313"):
            self.xmpp.register_plugin(name)
        if told is not None:
            self.xmpp.register_plugin(
                "devtelemetry",
                {"client": told, **config},
                module=devtelemetry.integrations.slixmpp,
            )
        self.told = told
        self.wire = Wire()
        self.xmpp.transport = cast(Any, self.wire)
        self.xmpp._session_started = True
        self.sending = asyncio.ensure_future(self.xmpp.run_filters())

    async def send(self, xml: str) -> list[Call]:
        self.xmpp.send(self.xmpp._build_stanza(ET.fromstring(xml)))
        return await self._taken()

    async def come(self, xml: str) -> list[Call]:
        self.xmpp._spawn_event(ET.fromstring(xml))
        return await self._taken()

    async def _taken(self) -> list[Call]:
        for _ in range(5):
            await asyncio.sleep(0)
        return [] if self.told is None else self.told.taken()

    async def join(self) -> list[Call]:
        await self.send(_presence("to", "<x xmlns='http://jabber.org/protocol/muc'/>"))
        return await self.come(_own_presence())


def _presence(way: str, inner: str, kind: str = "") -> str:
    return f"<presence xmlns='jabber:client' {way}='{ROOM}/ann'{kind}>{inner}</presence>"


def _own_presence(*codes: str, kind: str = "") -> str:
    told = "".join(f"<status code='{code}'/>" for code in ("110", *codes))
    inner = f"<x xmlns='http://jabber.org/protocol/muc#user'>{told}</x>"
    return _presence("from", inner, kind)


def message(
    sender: str = f"{ROOM}/ben",
    stanza_id: str = "m1",
    inner: str = "<body>text</body>",
    kind: str = "groupchat",
    to: str = OWN,
) -> str:
    return (
        f"<message xmlns='jabber:client' from='{sender}' to='{to}' id='{stanza_id}' type='{kind}'>"
        f"{inner}</message>"
    )


def own_message(to: str = ROOM, kind: str = "groupchat", inner: str = "<body>text</body>") -> str:
    return f"<message xmlns='jabber:client' to='{to}' id='o1' type='{kind}'>{inner}</message>"


def archived(inner: str, sender: str = ROOM) -> str:
    return (
        f"<message xmlns='jabber:client' from='{sender}' to='{OWN}'>"
        f"<result xmlns='urn:xmpp:mam:2' id='a1'>{_FORWARDED.format(inner)}</result></message>"
    )


@pytest.fixture
def told(tmp_path: Path) -> Told:
    settings = Settings(tmp_path / "node.db", clock=lambda: NOW)
    settings.enable()
    return Told(settings, "127.0.0.1:9")


@pytest_asyncio.fixture
async def client(told: Told) -> Client:
    made = Client(told)
    assert [(call.name, call.channel) for call in await made.join()] == [("channel_joined", ROOM)]
    return made


async def test_a_live_message_has_the_receivers_time(client: Client) -> None:
    (call,) = await client.come(message())
    assert call == Call(
        "message_received",
        ROOM,
        {
            "message_id": "ben/m1",
            "sent_at": NOW,
            "received_at": NOW,
            "message_type": "groupchat",
            "message_size": 4,
            "via": Via.LIVE,
            "sent_at_clock": SentAtClock.RECEIVER,
        },
    )
    assert await client.come(message()) == [], "it came twice"
    assert await client.come(archived(message())) == [], "it came live before"


async def test_an_archived_message_has_the_archives_time(client: Client) -> None:
    (call,) = await client.come(archived(message()))
    assert (call.name, call.fields["message_id"], call.fields["sent_at"]) == (
        "message_received",
        "ben/m1",
        STAMP,
    )
    assert (call.fields["via"], call.fields["sent_at_clock"]) == (Via.HISTORY, SentAtClock.SERVER)


@pytest.mark.parametrize("sender", [OWN, "mallory@xmpp.example", "other@rooms.xmpp.example"])
async def test_nobody_else_has_the_archive_of_a_room(client: Client, sender: str) -> None:
    assert await client.come(archived(message(), sender)) == []


async def test_the_rooms_history_at_a_join_is_history_and_an_authors_delay_is_not(
    client: Client,
) -> None:
    delay = (
        "<body>text</body><delay xmlns='urn:xmpp:delay' from='{}' stamp='2026-03-02T09:50:00Z'/>"
    )
    (call,) = await client.come(message(inner=delay.format(ROOM)))
    assert (call.fields["via"], call.fields["sent_at"]) == (Via.HISTORY, STAMP)
    (call,) = await client.come(message(stanza_id="m2", inner=delay.format("ben@xmpp.example")))
    assert (call.fields["via"], call.fields["sent_at"]) == (Via.LIVE, NOW)


async def test_what_this_device_writes_is_sent_and_its_echo_nothing(client: Client) -> None:
    (call,) = await client.send(own_message())
    assert (call.name, call.channel) == ("message_sent", ROOM)
    assert (call.fields["message_id"], call.fields["sent_at"]) == ("ann/o1", NOW)
    assert await client.come(message(f"{ROOM}/ann", "o1")) == []
    assert await client.come(archived(message(f"{ROOM}/ann", "o1"))) == []


async def test_the_users_second_device_is_another(client: Client) -> None:
    (call,) = await client.come(message(f"{ROOM}/ann", "from the desktop"))
    assert (call.name, call.fields["message_id"]) == ("message_received", "ann/from the desktop")


async def test_a_message_that_comes_back_failed(client: Client) -> None:
    await client.send(own_message())
    refused = (
        "<error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    )
    (call,) = await client.come(message(ROOM, "o1", refused, "error"))
    assert (call.name, call.channel) == ("send_failed", ROOM)
    assert (call.fields["message_id"], call.fields["reason"]) == ("ann/o1", "not-acceptable")
    assert await client.come(message(ROOM, "o2", refused, "error")) == [], "not this device's"


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        ("<received xmlns='urn:xmpp:receipts' id='m0'/><body>seen</body>", "groupchat"),
        ("<displayed xmlns='urn:xmpp:chat-markers:0' id='m0'/>", "groupchat"),
        ("<reactions xmlns='urn:xmpp:reactions:0' id='m0'/><body>:)</body>", "groupchat"),
        ("<composing xmlns='http://jabber.org/protocol/chatstates'/>", "groupchat"),
        ("<subject>new</subject>", "groupchat"),
        ("<body>text</body>", "normal"),
        ("<body>text</body>", "headline"),
    ],
)
async def test_what_nobody_wrote_is_no_message(client: Client, inner: str, kind: str) -> None:
    assert await client.come(message(inner=inner, kind=kind)) == []
    assert await client.send(own_message(inner=inner, kind=kind)) == []


async def test_an_edit_is_a_message_of_its_own_type(client: Client) -> None:
    inner = "<body>text</body><replace xmlns='urn:xmpp:message-correct:0' id='m0'/>"
    (call,) = await client.come(message(inner=inner))
    assert call.fields["message_type"] == "EDIT"


async def test_a_chat_of_two_is_one_channel_on_both_sides_and_on_all_devices(
    client: Client,
) -> None:
    channel = "ann@xmpp.example ben@xmpp.example"
    (sent,) = await client.send(own_message("ben@xmpp.example", "chat"))
    assert (sent.channel, sent.fields["message_id"]) == (channel, f"{OWN}/o1")
    (came,) = await client.come(message("ben@xmpp.example/desk", kind="chat"))
    assert (came.channel, came.fields["message_id"]) == (channel, "ben@xmpp.example/m1")

    def carbon(sender: str) -> str:
        copy = message(f"{OWN}/desk", "o2", kind="chat", to="ben@xmpp.example")
        forwarded = f"<sent xmlns='urn:xmpp:carbons:2'>{_FORWARDED.format(copy)}</sent>"
        return message(sender, "c1", forwarded, "chat")

    (copied,) = await client.come(carbon(OWN))
    assert (copied.name, copied.fields["message_id"]) == ("message_received", f"{OWN}/o2")
    assert await client.come(carbon("mallory@xmpp.example")) == [], "only one's own server copies"
    assert await client.come(message(kind="chat")) == [], "within a room, from one to another"


@pytest.mark.parametrize(
    ("codes", "is_left"),
    [((), False), (("332",), False), (("307", "333"), False), (("303",), False)]
    + [((code,), True) for code in ("301", "307", "321", "322")],
)
async def test_a_lost_connection_is_no_leaving_and_being_put_out_is(
    client: Client, codes: tuple[str, ...], *, is_left: bool
) -> None:
    calls = await client.come(_own_presence(*codes, kind=" type='unavailable'"))
    assert [call.name for call in calls] == ["channel_left"] * is_left


async def test_a_leave_is_one_and_a_bind_says_all_channels(client: Client) -> None:
    client.xmpp.event("session_bind", client.xmpp.boundjid)
    (call,) = await client._taken()
    assert (call.name, call.channel) == ("channels_are", [ROOM])
    (call,) = await client.send(_presence("to", "", " type='unavailable'"))
    assert (call.name, call.channel) == ("channel_left", ROOM)


async def test_a_room_of_before_a_restart_can_be_left_without_entering_it(told: Told) -> None:
    before = Client(told)
    await before.join()
    eventually(lambda: Core(told).is_in(ROOM))
    (call,) = await Client(told).send(_presence("to", "", " type='unavailable'"))
    assert (call.name, call.channel) == ("channel_left", ROOM)


async def test_by_the_archives_id_the_author_knows_it_from_the_echo(told: Told) -> None:
    client = Client(told, ids="stanza")
    await client.join()
    assert await client.send(own_message()) == []
    named = "<body>text</body><stanza-id xmlns='urn:xmpp:sid:0' by='{}' id='s1'/>"
    forged = named.format("mallory@xmpp.example")
    assert await client.come(message(inner=forged)) == []
    (sent,) = await client.come(message(f"{ROOM}/ann", "o1", named.format(ROOM)))
    assert (sent.name, sent.fields["message_id"]) == ("message_sent", "s1")
    (came,) = await client.come(archived(message()))
    assert (came.name, came.fields["message_id"]) == ("message_received", "a1")


async def test_stanzas_are_byte_for_byte_the_same_with_and_without_the_module(told: Told) -> None:
    with_it, without = Client(told), Client(None)
    seen: list[list[str]] = [[], []]
    for client, into in zip((with_it, without), seen, strict=True):
        client.xmpp.add_event_handler("message", lambda m, i=into: i.append(tostring(m.xml)))
        await client.join()
        for stanza in (own_message(), own_message("ben@xmpp.example", "chat"), message()):
            await client.send(stanza)
        edit = client.xmpp.make_message(slixmpp.JID(ROOM), "text", mtype="groupchat")
        edit["id"], edit["replace"]["id"] = "e1", "o1"
        client.xmpp.send(edit)
        said = await client._taken()
        assert [call.fields["message_type"] for call in said] == ["EDIT"] * (client is with_it)
        for stanza in (message(), archived(message()), message(kind="chat", sender="b@x/y")):
            await client.come(stanza)
    assert len(seen[0]) > 1
    assert seen[0] == seen[1]
    assert with_it.wire.sent == without.wire.sent
    assert b"<replace" in with_it.wire.sent


async def test_a_failure_in_a_handler_reaches_nobody(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.told is not None
    client.told.message_received = client.told.message_sent = None  # type: ignore[method-assign,assignment]
    before = client.wire.sent
    assert await client.come(message()) == []
    assert await client.send(own_message()) == []
    assert client.wire.sent != before
    assert [r.name for r in caplog.records] == ["devtelemetry.integrations"] * 2


@pytest.mark.parametrize("config", [{"client": None}, {"ids": "server"}])
async def test_a_wrong_configuration_is_told_at_once(told: Told, config: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match="allowed"):
        Client(told, **config)
