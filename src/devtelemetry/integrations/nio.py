"""Telemetry for a client on matrix-nio, in one line:

    nio.attach(matrix_client, telemetry)

It looks at events when nio hands them to the app, at histories after nio has handled them, and at
messages that the app sends. It never changes, keeps or delays any of them. docs/messengers.md says
what it cannot see.
"""

import functools
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from nio import (
    AsyncClient,
    BadEvent,
    Event,
    MatrixRoom,
    MegolmEvent,
    RedactedEvent,
    RoomContextResponse,
    RoomMemberEvent,
    RoomMessage,
    RoomMessagesResponse,
    RoomSendError,
    RoomSendResponse,
    StickerEvent,
    SyncResponse,
    UnknownEncryptedEvent,
)

from devtelemetry.client import SentAtClock, TelemetryClient, Via
from devtelemetry.client.lost import EARLIEST
from devtelemetry.integrations.core import Core, guarded

_MESSAGE_TYPES = ("m.room.message", "m.sticker")
_REDACTED_TYPES = (*_MESSAGE_TYPES, "m.room.encrypted")
_SERVER = SentAtClock.SERVER


def attach(client: AsyncClient, telemetry: TelemetryClient) -> None:
    """Reports what `client` sends and receives. Call it once, best before the first sync.

    telemetry  a client for this account's device only: it gets the full list of its rooms
    """
    messenger = _Messenger(client, Core(telemetry))
    messenger.enter_rooms()
    client.add_event_callback(messenger.came, (Event, BadEvent))
    # First, before the app's callbacks: if one of those fails or the app is killed in it, nio calls
    # no further one, and the next sync does not bring these events again.
    client.event_callbacks.insert(0, client.event_callbacks.pop())
    for name, wrapped in (
        ("receive_response", messenger.receiving(client.receive_response)),
        ("room_send", messenger.sending(client.room_send)),
        ("decrypt_event", messenger.decrypting(client.decrypt_event)),
    ):
        setattr(client, name, wrapped)


class _Messenger:
    def __init__(self, client: AsyncClient, core: Core) -> None:
        self._client = client
        self._core = core
        self._has_synced = bool(client.rooms)
        self._vias: dict[str, Via] = {}  # how events of the present sync come, by room

    @guarded
    def enter_rooms(self) -> None:
        self._core.joined_before(self._client.rooms)

    # ---------------------------------------------------------------------- nio's methods, wrapped

    def receiving(self, receive_response: Any) -> Any:
        @functools.wraps(receive_response)
        async def wrapped(response: Any) -> None:
            self._comes(response)
            await receive_response(response)
            self._received(response)

        return wrapped

    def sending(self, room_send: Any) -> Any:
        @functools.wraps(room_send)
        async def wrapped(
            room_id: str, message_type: str, content: Any, *rest: Any, **named: Any
        ) -> Any:
            sent_at = self._core.now()
            try:
                answer = await room_send(room_id, message_type, content, *rest, **named)
            except Exception as error:
                self._not_sent(room_id, message_type, content, sent_at, type(error).__name__)
                raise
            self._answered(room_id, message_type, content, sent_at, answer)
            return answer

        return wrapped

    def decrypting(self, decrypt_event: Any) -> Any:
        @functools.wraps(decrypt_event)
        def wrapped(event: Any) -> Any:
            decrypted = decrypt_event(event)
            self._decrypted_later(event, decrypted)
            return decrypted

        return wrapped

    # ------------------------------------------------------------------------------- what goes out

    @guarded
    def _answered(
        self, room_id: str, message_type: str, content: Any, sent_at: int, answer: Any
    ) -> None:
        if isinstance(answer, RoomSendError):
            reason = answer.status_code or "unknown"
            self._not_sent(room_id, message_type, content, sent_at, reason)
        elif isinstance(answer, RoomSendResponse) and message_type in _MESSAGE_TYPES:
            if self._core.written_at(room_id, answer.event_id) is not None:
                return  # the echo was faster
            self._core.wrote(room_id, answer.event_id, sent_at)
            # sent_at is by this device's clock until the echo brings the server's time.
            self._core.client.message_sent(
                channel_id=room_id,
                message_id=answer.event_id,
                sent_at=sent_at,
                message_type=_type(message_type, content),
                message_size=_size(content),
            )

    @guarded
    def _not_sent(
        self, room_id: str, message_type: str, content: Any, sent_at: int, reason: str
    ) -> None:
        if message_type in _MESSAGE_TYPES:
            self._core.client.send_failed(
                channel_id=room_id,
                message_id=uuid.uuid4().hex,  # only the server gives ids, but it has not seen this
                sent_at=sent_at,
                reason=reason.lower(),
                message_type=_type(message_type, content),
                message_size=_size(content),
            )

    # -------------------------------------------------------------------------------- what comes in

    @guarded
    def _comes(self, response: Any) -> None:
        if isinstance(response, SyncResponse):
            self._synced(response)

    @guarded
    def came(self, room: MatrixRoom, event: Any) -> None:
        """Takes an event of a sync, decrypted if that was possible."""
        self._event(room.room_id, event, self._vias[room.room_id])

    @guarded
    def _received(self, response: Any) -> None:
        if isinstance(response, RoomMessagesResponse):
            self._events(response.room_id, response.chunk, Via.HISTORY)
        elif isinstance(response, RoomContextResponse):
            around = (*response.events_before, response.event, *response.events_after)
            self._events(response.room_id, around, Via.HISTORY)

    def _synced(self, response: SyncResponse) -> None:
        for room_id, room in response.rooms.leave.items():
            self._member_events(room_id, (*room.state, *room.timeline.events))
        self._vias = {}
        for room_id, room in response.rooms.join.items():
            self._member_events(room_id, (*room.state, *room.timeline.events))
            # The user is in this room. Its join event may be missing, for example in a sync gap.
            self._core.joined(room_id, EARLIEST)
            was_away = room.timeline.limited or not self._has_synced
            self._vias[room_id] = Via.HISTORY if was_away else Via.LIVE
        if not self._has_synced:
            self._has_synced = True
            self._core.connected()

    def _member_events(self, room_id: str, events: Iterable[Any]) -> None:
        """Looks for this user's joining and leaving. A new name or picture is a `join` event too,
        but not a joining."""
        for event in events:
            if isinstance(event, RoomMemberEvent) and event.state_key == self._client.user_id:
                if event.membership != "join":
                    self._core.left(room_id, event.server_timestamp)
                elif event.prev_membership != "join":
                    self._core.joined(room_id, event.server_timestamp)

    def _events(self, room_id: str, events: Iterable[Any], via: Via) -> None:
        for event in events:
            self._event(room_id, event, via)

    @guarded
    def _event(self, room_id: str, event: Any, via: Via) -> None:
        if self._is_own(room_id, event):
            self._echo(room_id, event)
        elif isinstance(event, MegolmEvent | UnknownEncryptedEvent):
            self._say_unreadable(room_id, event, via, self._why_unreadable(room_id, event))
        elif isinstance(event, BadEvent) and event.type in _MESSAGE_TYPES:
            self._say_unreadable(room_id, event, via, "malformed")
        elif _is_message(event):
            self._say_received(room_id, event, via)

    def _is_own(self, room_id: str, event: Any) -> bool:
        """Whether this device sent it. Only the sending device gets a transaction id."""
        unsigned = getattr(event, "source", {}).get("unsigned") or {}
        return bool(
            getattr(event, "transaction_id", None)
            or unsigned.get("transaction_id")
            or self._core.written_at(room_id, getattr(event, "event_id", "")) is not None
        )

    def _echo(self, room_id: str, event: Any) -> None:
        is_message = _is_message(event) or isinstance(event, MegolmEvent)
        if is_message and self._core.is_new(room_id, event.event_id, "echo"):
            self._core.wrote(room_id, event.event_id, event.server_timestamp)
            self._core.client.message_sent(**_fields(room_id, event))

    def _say_received(self, room_id: str, event: Any, via: Via) -> None:
        if self._core.is_new(room_id, event.event_id):
            self._core.client.message_received(
                **_fields(room_id, event), received_at=self._core.now(), via=via
            )

    def _say_unreadable(self, room_id: str, event: Any, via: Via, reason: str) -> None:
        if self._core.is_new(room_id, event.event_id, "unreadable"):
            self._core.client.message_unreadable(
                channel_id=room_id,
                message_id=event.event_id,
                sent_at=event.server_timestamp,
                sent_at_clock=_SERVER,
                received_at=self._core.now(),
                reason=reason,
                via=via,
            )

    def _why_unreadable(self, room_id: str, event: Any) -> str:
        if isinstance(event, UnknownEncryptedEvent):
            return "unknown_algorithm"
        olm = self._client.olm
        if olm is None:
            return "no_encryption"
        session = olm.inbound_group_store.get(room_id, event.sender_key, event.session_id)
        if session is None:
            return "no_session_key"
        try:
            session.decrypt(event.ciphertext)
        except Exception as error:
            is_early = "unknown message index" in str(error).lower()
            return "unknown_index" if is_early else "not_decrypted"
        return "refused"  # nio decrypts it, but takes it for a replay or doubts its sender

    @guarded
    def _decrypted_later(self, event: MegolmEvent, decrypted: Any) -> None:
        room_id = event.room_id or event.source.get("room_id", "")
        if room_id and _is_message(decrypted) and not self._is_own(room_id, event):
            self._say_received(room_id, decrypted, Via.NOT_SAID)


def _is_message(event: Any) -> bool:
    """Reactions, receipts, redactions and state are not messages. A message that was redacted
    before it came is one."""
    if isinstance(event, RedactedEvent):
        return event.type in _REDACTED_TYPES
    return isinstance(event, RoomMessage | StickerEvent)


def _fields(room_id: str, event: Event) -> dict[str, Any]:
    """The fields of a sample, with the time that the server stamped."""
    content = event.source.get("content", {})
    is_readable = not isinstance(event, MegolmEvent | RedactedEvent)
    return {
        "channel_id": room_id,
        "message_id": event.event_id,
        "sent_at": event.server_timestamp,
        "sent_at_clock": _SERVER,
        "message_type": _type(event.source.get("type", ""), content) if is_readable else "",
        "message_size": _size(content) if is_readable else 0,
    }


def _type(event_type: str, content: Mapping[str, Any]) -> str:
    relation = content.get("m.relates_to")
    if isinstance(relation, Mapping) and relation.get("rel_type") == "m.replace":
        return "EDIT"
    return str(content.get("msgtype", event_type))


def _size(content: Mapping[str, Any]) -> int:
    return len(str(content.get("body", "")).encode())
