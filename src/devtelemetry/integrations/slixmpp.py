"""Telemetry for a client on slixmpp, in one call:

    xmpp.register_plugin(
        "devtelemetry", {"client": telemetry}, module=devtelemetry.integrations.slixmpp
    )

It reads the stanzas that pass. It reads them as XML, because slixmpp's own interfaces add elements
when they look for them. It never changes, keeps or delays a stanza. docs/messengers.md says what it
cannot see.
"""

from datetime import datetime
from typing import NamedTuple
from xml.etree import ElementTree as ET

from slixmpp import JID, Presence
from slixmpp.plugins.base import BasePlugin, register_plugin
from slixmpp.stanza import Message
from slixmpp.xmlstream import StanzaBase
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from devtelemetry.client import SentAtClock, TelemetryClient, Via
from devtelemetry.integrations.core import Core, guarded

_CLIENT = "{jabber:client}"
_ARCHIVED = "{urn:xmpp:mam:2}result"
_CARBONS = ("{urn:xmpp:carbons:2}received", "{urn:xmpp:carbons:2}sent")
_FORWARDED = "{urn:xmpp:forward:0}forwarded"
_DELAY = "{urn:xmpp:delay}delay"
_STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
_EDIT = "{urn:xmpp:message-correct:0}replace"
_ERROR_CONDITION = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
_MUC_JOIN = "{http://jabber.org/protocol/muc}x"
_MUC_USER = "{http://jabber.org/protocol/muc#user}x"
_MUC_STATUS = "{http://jabber.org/protocol/muc#user}status"
_MUC_DESTROY = "{http://jabber.org/protocol/muc#user}destroy"
# In a stanza with one of these, the body is only a fallback for old clients: nobody wrote it.
_NO_MESSAGE = (
    "{urn:xmpp:receipts}received",
    "{urn:xmpp:chat-markers:0}displayed",
    "{urn:xmpp:reactions:0}reactions",
    "{urn:xmpp:message-retract:1}retract",
)
_BODIES = (
    f"{_CLIENT}body",
    "{eu.siacs.conversations.axolotl}encrypted",
    "{urn:xmpp:omemo:2}encrypted",
)
_SELF, _TECHNICAL = "110", "333"
_REMOVED = {"301", "307", "321", "322"}  # the room removed the user: banned, kicked, not a member


class _Seen(NamedTuple):
    """A message stanza, and how it came.

    archive_id  the id in the archive that it came from; else empty
    stamp       Unix ms, by a server's clock; None: the message carries no time
    """

    xml: ET.Element
    via: Via
    archive_id: str = ""
    stamp: int | None = None


class DevTelemetry(BasePlugin):
    """Reports what one slixmpp client sends and receives.

    client  a client for this connection only: it gets the full list of its channels
    ids     "origin": a message's id is its author's nick (in a chat of two: JID) and the id that
            the author gave it. It is known at once, so messages that do not get through are seen
            "stanza": the id that the room's archive gave it; for rooms whose service changes ids
    """

    name = "devtelemetry"
    description = "Dev-Telemetry: how reliably messages arrive, if the user opted in"
    default_config = {"client": None, "ids": "origin"}  # noqa: RUF012 - as slixmpp has it

    def plugin_init(self) -> None:
        client, ids = self.config["client"], self.config["ids"]
        if not isinstance(client, TelemetryClient):
            raise TypeError(f"client: {client!r}; allowed: a TelemetryClient")
        if ids not in ("origin", "stanza"):
            raise ValueError(f"ids: {ids!r}; allowed: 'origin', 'stanza'")
        self._core = Core(client)
        self._nicks: dict[str, str] = {}  # of the rooms that this connection is in
        self.xmpp.add_filter("out_sync", self._pass_on)
        for stanza, handler in (("message", self._message), ("presence", self._presence)):
            matcher = MatchXPath(f"{_CLIENT}{stanza}")
            self.xmpp.register_handler(Callback(f"devtelemetry {stanza}", matcher, handler))
        self._enter_rooms()

    def plugin_end(self) -> None:
        self.xmpp.del_filter("out_sync", self._pass_on)
        for stanza in ("message", "presence"):
            self.xmpp.remove_handler(f"devtelemetry {stanza}")
        self._core.close()

    @guarded
    def _enter_rooms(self) -> None:
        rooms = self.xmpp.plugin.get("xep_0045", None)
        for nicks in [] if rooms is None else rooms.our_nicks.values():
            self._nicks.update((str(room), nick) for room, nick in nicks.items())
        self._core.joined_before(self._nicks)

    @guarded
    def session_bind(self, _: object) -> None:
        self._core.connected()

    # ------------------------------------------------------------------------------- what goes out

    def _pass_on(self, stanza: StanzaBase) -> StanzaBase:
        self._outgoing(stanza)
        return stanza

    @guarded
    def _outgoing(self, stanza: StanzaBase) -> None:
        if isinstance(stanza, Presence):
            self._own_presence(stanza.xml)
        elif isinstance(stanza, Message) and _is_message(stanza.xml):
            self._write(stanza.xml)

    def _own_presence(self, xml: ET.Element) -> None:
        to = JID(xml.get("to", ""))
        if to.resource and xml.find(_MUC_JOIN) is not None:
            self._nicks[to.bare] = to.resource
        elif self._core.is_in(to.bare) and xml.get("type") == "unavailable":
            # Perhaps a room from before a restart that the user has not entered again since.
            self._nicks.pop(to.bare, None)
            self._core.left(to.bare)

    def _write(self, xml: ET.Element) -> None:
        place = JID(xml.get("to", "")).bare
        stanza_id = xml.get("id", "")
        if not stanza_id or not place:
            return
        channel_id, author = self._at(xml, place)
        message_id, sent_at = f"{author}/{stanza_id}", self._core.now()
        self._core.wrote(channel_id, message_id, sent_at)
        if not self._is_named_by_archive(xml):
            self._say_sent(xml, channel_id, message_id, sent_at)

    def _say_sent(self, xml: ET.Element, channel_id: str, message_id: str, sent_at: int) -> None:
        self._core.client.message_sent(
            channel_id=channel_id,
            message_id=message_id,
            sent_at=sent_at,
            message_type=_type(xml),
            message_size=_size(xml),
        )

    # -------------------------------------------------------------------------------- what comes in

    @guarded
    def _message(self, stanza: StanzaBase) -> None:
        xml = stanza.xml
        sender = JID(xml.get("from", ""))
        if xml.get("type") == "error":
            self._bounced(xml, sender.bare)
        elif (seen := self._unwrap(xml, sender)) is not None and _is_message(seen.xml):
            if seen.xml.get("type") == "groupchat":
                self._in_room(seen)
            else:
                self._in_chat(seen)

    def _unwrap(self, xml: ET.Element, sender: JID) -> _Seen | None:
        """The message in a stanza; None if it was wrapped by somebody who may not do that."""
        own = self.xmpp.boundjid.bare
        archived = xml.find(_ARCHIVED)
        if archived is not None:
            inner, stamp = _forwarded(archived)
            if inner is None or stamp is None:
                return None
            is_rooms = inner.get("type") == "groupchat"
            if sender.full not in ({JID(inner.get("from", "")).bare} if is_rooms else {"", own}):
                return None
            return _Seen(inner, Via.HISTORY, archived.get("id", ""), stamp)
        for carbon in _CARBONS:
            copied = xml.find(carbon)
            if copied is not None:
                inner, stamp = _forwarded(copied)
                return _Seen(inner, Via.LIVE) if inner is not None and sender.full == own else None
        # Anybody can write a time into a message. Only a time from a server counts.
        servers = {JID(own).domain, *({sender.bare} & self._nicks.keys())}
        for delay in xml.findall(_DELAY):
            if delay.get("from") in servers:
                return _Seen(xml, Via.HISTORY, "", _unix_ms(delay))
        return _Seen(xml, Via.LIVE)

    def _in_room(self, seen: _Seen) -> None:
        author = JID(seen.xml.get("from", ""))
        if not author.resource:
            return  # from the room itself
        message_id = f"{author.resource}/{seen.xml.get('id', '')}"
        own_since = self._core.written_at(author.bare, message_id)
        if self._is_named_by_archive(seen.xml):
            archive_id = seen.archive_id or _stanza_id(seen.xml, author.bare)
            if not archive_id:
                return
            message_id = archive_id
            if own_since is not None and self._core.is_new(author.bare, message_id):
                self._say_sent(seen.xml, author.bare, message_id, own_since)
        elif not seen.xml.get("id"):
            return
        if own_since is None:
            self._say_received(seen, author.bare, message_id)

    def _in_chat(self, seen: _Seen) -> None:
        """A chat of two people. The author may be this user, on another device."""
        author, reader = JID(seen.xml.get("from", "")), JID(seen.xml.get("to", ""))
        stanza_id = seen.xml.get("id")
        if not stanza_id or seen.xml.find(_MUC_USER) is not None:
            return  # a private message within a room, which hides who the two are
        if {author.bare, reader.bare} & self._nicks.keys():
            return
        channel_id = _chat(author.bare, reader.bare or self.xmpp.boundjid.bare)
        message_id = f"{author.bare}/{stanza_id}"
        if self._core.written_at(channel_id, message_id) is None:
            self._say_received(seen, channel_id, message_id)

    def _say_received(self, seen: _Seen, channel_id: str, message_id: str) -> None:
        if not self._core.is_new(channel_id, message_id):
            return
        now = self._core.now()
        self._core.client.message_received(
            channel_id=channel_id,
            message_id=message_id,
            sent_at=now if seen.stamp is None else seen.stamp,
            received_at=now,
            message_type=_type(seen.xml),
            message_size=_size(seen.xml),
            via=seen.via,
            sent_at_clock=SentAtClock.RECEIVER if seen.stamp is None else SentAtClock.SERVER,
        )

    def _bounced(self, xml: ET.Element, place: str) -> None:
        """A message that this device sent came back."""
        for kind in ("groupchat", "chat"):
            channel_id, author = self._at(ET.Element("message", type=kind), place)
            message_id = f"{author}/{xml.get('id', '')}"
            sent_at = self._core.written_at(channel_id, message_id)
            if sent_at is not None:
                self._core.client.send_failed(
                    channel_id=channel_id,
                    message_id=message_id,
                    sent_at=sent_at,
                    reason=_condition(xml),
                )

    @guarded
    def _presence(self, stanza: StanzaBase) -> None:
        """This device enters or leaves a room. Presences of other occupants do not matter."""
        said = stanza.xml.find(_MUC_USER)
        if said is None:
            return
        codes = {status.get("code", "") for status in said.findall(_MUC_STATUS)}
        occupant = JID(stanza.xml.get("from", ""))
        if _SELF not in codes:
            return
        if stanza.xml.get("type") is None:
            self._nicks[occupant.bare] = occupant.resource
            self._core.joined(occupant.bare)
        elif (codes & _REMOVED and _TECHNICAL not in codes) or said.find(_MUC_DESTROY) is not None:
            self._nicks.pop(occupant.bare, None)
            self._core.left(occupant.bare)

    # -------------------------------------------------------------------------------------- naming

    def _is_named_by_archive(self, xml: ET.Element) -> bool:
        """Only in rooms: in a chat of two, each user's server has its own archive and ids."""
        return self.config["ids"] == "stanza" and xml.get("type") == "groupchat"

    def _at(self, xml: ET.Element, place: str) -> tuple[str, str]:
        """Channel and author of a message that this device sends to `place`."""
        if xml.get("type") == "groupchat":
            return place, self._nicks.get(place, "")
        own: str = self.xmpp.boundjid.bare
        return _chat(own, place), own


def _chat(one: str, other: str) -> str:
    """The channel of two people, the same on both sides. No bare JID contains a blank."""
    return " ".join(sorted((one, other)))


def _is_message(xml: ET.Element) -> bool:
    return (
        xml.get("type") in ("chat", "groupchat")
        and any(xml.find(body) is not None for body in _BODIES)
        and not any(xml.find(other) is not None for other in _NO_MESSAGE)
    )


def _type(xml: ET.Element) -> str:
    return "EDIT" if xml.find(_EDIT) is not None else xml.get("type", "")


def _size(xml: ET.Element) -> int:
    return len((xml.findtext(f"{_CLIENT}body") or "").encode())


def _stanza_id(xml: ET.Element, by: str) -> str:
    """The id that `by` gave. Other ids in the stanza may have been written by the author."""
    return next((i.get("id", "") for i in xml.findall(_STANZA_ID) if i.get("by") == by), "")


def _forwarded(wrapper: ET.Element) -> tuple[ET.Element | None, int | None]:
    forwarded = wrapper.find(_FORWARDED)
    if forwarded is None:
        return None, None
    delay = forwarded.find(_DELAY)
    return forwarded.find(f"{_CLIENT}message"), None if delay is None else _unix_ms(delay)


def _unix_ms(delay: ET.Element) -> int:
    return round(datetime.fromisoformat(delay.get("stamp", "")).timestamp() * 1000)


def _condition(xml: ET.Element) -> str:
    error = xml.find(f"{_CLIENT}error")
    tags = [] if error is None else [condition.tag for condition in error]
    return next(
        (t.removeprefix(_ERROR_CONDITION) for t in tags if t.startswith(_ERROR_CONDITION)), ""
    )


register_plugin(DevTelemetry)
