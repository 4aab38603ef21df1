"""What an app calls: the interface of the client library."""

import asyncio
import contextlib
import functools
import logging
import os
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from devtelemetry.client import sources
from devtelemetry.client.errors import BadSetting, Unwritable
from devtelemetry.client.journal import Journal
from devtelemetry.client.lock import Lock
from devtelemetry.client.outbox import Limits, Outbox
from devtelemetry.client.record import pack_channels, pack_message
from devtelemetry.client.recorder import Recorder
from devtelemetry.client.schedule import Timing
from devtelemetry.client.sender import Sender
from devtelemetry.client.settings import SECOND_KEY, Settings, check_server, check_token
from devtelemetry.client.stays import Joined, Left, Present, Said
from devtelemetry.client.values import Outcome, SentAtClock, Via
from devtelemetry.client.wake import Alarm
from devtelemetry.client.wire import App

_LOG = logging.getLogger("devtelemetry.client")

# Kept in names, because looking a member up in its enum costs a tenth of a call.
_HELD, _UNREADABLE, _DROPPED, _SEND_FAILED = Outcome
_NOT_SAID = Via.NOT_SAID

# All clients that are not closed. So a second key in this process is found before anyone opts in.
_OPEN: "weakref.WeakSet[TelemetryClient]" = weakref.WeakSet()


class TelemetryClient:
    """Reports the messages that an app holds, if its user opted in.

    settings             of the node; they decide whether anything is recorded and sent
    server               HOST:PORT, unless the settings name another; empty: only the settings do
    token                `dt_…`, if the server asks for one
    tls                  None: TLS except on loopback. True, False: always, never. A path: a PEM
                         file with the authorities to trust instead of gRPC's own list
    receiver_public_key  of the user; a pseudonym is sent in its place, unless `send_real_key` is
                         set
    platform             desktop, android, ios, …
    app_version          as the app's makers write it
    messenger_server     home server, relay or node that the app talks to; empty: not said

    Raises BadSetting if `server` is not an address, if `token` is not a token, or if the settings
    file gets a second receiver key: each account needs its own file (`Settings(path, account=…)`).

    Between `start` and `close`, any thread may make any call. A call takes microseconds and raises
    nothing. While the user has not opted in, it does nothing and stores nothing.
    """

    def __init__(
        self,
        settings: Settings,
        server: str = "",
        token: str | None = None,
        tls: bool | str | os.PathLike[str] | None = None,
        *,
        receiver_public_key: str = "",
        platform: str = "",
        app_version: str = "",
        messenger_server: str = "",
        limits: Limits | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._settings = settings
        self._clock = settings.clock
        self._switch = settings.switch
        self._app = App(
            check_server(server) if server else "",
            check_token(token or ""),
            tls if tls is None or isinstance(tls, bool) else Path(tls),
            receiver_public_key,
            platform,
            app_version,
            messenger_server,
        )
        self._refuse_second_key()
        self._limits = limits or Limits()
        self._timing = timing or Timing()
        self._recorder: Recorder | None = None
        self._sender: Sender | None = None
        self._is_paused = False

    def _refuse_second_key(self) -> None:
        key = self._app.receiver_public_key
        for other in list(_OPEN):
            is_beside = other._settings.storage.path == self._settings.storage.path
            if is_beside and key and other._app.receiver_public_key not in ("", key):
                raise BadSetting(f"receiver_public_key: {SECOND_KEY}")
        with contextlib.suppress(Unwritable):  # then the background thread checks it later
            self._settings.check_key(key)
        _OPEN.add(self)

    @property
    def settings(self) -> Settings:
        """The settings that this client was made with."""
        return self._settings

    def start(self) -> None:
        """Starts the background thread. If that fails, the app goes on without telemetry."""
        if self._sender is not None:
            return
        parts = contextlib.ExitStack()
        try:
            directory = self._settings.storage.directory
            connection = self._settings.storage.connect()
            parts.callback(connection.close)
            outbox = Outbox(connection, self._limits, self._app.app_version)
            journal = Journal.first_free(directory)
            parts.callback(journal.close)
            journal.settled = sources.generation_of(connection, journal.slot)
            alarm = Alarm(directory, journal.slot)
            parts.callback(alarm.close)
            lock = Lock(directory / "sender.lock")
            parts.callback(lock.close)
            recorder = Recorder(journal, alarm, self._limits.buffered)
            if self._switch.consent:
                recorder.open()
            sender = Sender(
                self._settings,
                self._app,
                recorder,
                outbox,
                lock,
                self._timing,
                on_end=parts.close,  # called by the thread, which may end after `close` returns
            )
            sender.pause(self._is_paused)
            sender.start()
        except Exception as error:
            parts.close()
            _LOG.warning("telemetry does not start: %s", error)
            return
        self._recorder, self._sender = recorder, sender
        if hasattr(os, "register_at_fork"):
            # A fork's child does not have the background thread, so nothing would be stored there.
            os.register_at_fork(after_in_child=functools.partial(_forget_parts, weakref.ref(self)))

    def message_received(
        self,
        *,
        message_id: str,
        channel_id: str,
        sent_at: int,
        topics: bytes = b"",
        envelope_id: str = "",
        message_type: str = "",
        message_size: int = 0,
        received_at: int | None = None,
        via: Via = Via.NOT_SAID,
        sent_at_clock: SentAtClock = SentAtClock.AUTHOR,
    ) -> None:
        """The app holds a message that somebody else wrote, and can read it.

        sent_at        Unix ms, by the clock that sent_at_clock names
        message_size   bytes; 0: not said
        received_at    Unix ms, this device's clock; None: now
        via            how the message came
        sent_at_clock  which clock sent_at is from: the author's, the messenger's server's, or this
                       device's if the message carries no time
        """
        self._record(
            _HELD,
            False,
            message_id,
            channel_id,
            sent_at,
            topics,
            envelope_id,
            message_type,
            message_size,
            received_at,
            "",
            via,
            sent_at_clock,
        )

    def message_unreadable(
        self,
        *,
        channel_id: str,
        sent_at: int,
        message_id: str = "",
        reason: str = "",
        topics: bytes = b"",
        envelope_id: str = "",
        message_type: str = "",
        message_size: int = 0,
        received_at: int | None = None,
        via: Via = Via.NOT_SAID,
        sent_at_clock: SentAtClock = SentAtClock.AUTHOR,
    ) -> None:
        """A message arrived that the app could not decrypt or decode.

        As soon as the app can read it, it calls `message_received`, which explains the other
        fields.

        message_id  may be left out if only envelope_id is known
        reason      a code of the app's own, such as `no_session_key`: 1 to 64 of a-z, 0-9, _ . -
        """
        self._record(
            _UNREADABLE,
            False,
            message_id,
            channel_id,
            sent_at,
            topics,
            envelope_id,
            message_type,
            message_size,
            received_at,
            reason,
            via,
            sent_at_clock,
        )

    def message_dropped(
        self,
        *,
        message_id: str,
        channel_id: str,
        sent_at: int,
        reason: str = "",
        topics: bytes = b"",
        envelope_id: str = "",
        message_type: str = "",
        message_size: int = 0,
        received_at: int | None = None,
        via: Via = Via.NOT_SAID,
        sent_at_clock: SentAtClock = SentAtClock.AUTHOR,
    ) -> None:
        """A message arrived readable, and the app threw it away. The fields are as above."""
        self._record(
            _DROPPED,
            False,
            message_id,
            channel_id,
            sent_at,
            topics,
            envelope_id,
            message_type,
            message_size,
            received_at,
            reason,
            via,
            sent_at_clock,
        )

    def message_sent(
        self,
        *,
        message_id: str,
        channel_id: str,
        sent_at: int,
        topics: bytes = b"",
        envelope_id: str = "",
        message_type: str = "",
        message_size: int = 0,
        sent_at_clock: SentAtClock = SentAtClock.AUTHOR,
    ) -> None:
        """The user of this app wrote a message; the fields are those of `message_received`."""
        self._record(
            _HELD,
            True,
            message_id,
            channel_id,
            sent_at,
            topics,
            envelope_id,
            message_type,
            message_size,
            None,
            "",
            _NOT_SAID,
            sent_at_clock,
        )

    def send_failed(
        self,
        *,
        message_id: str,
        channel_id: str,
        sent_at: int,
        reason: str = "",
        topics: bytes = b"",
        envelope_id: str = "",
        message_type: str = "",
        message_size: int = 0,
        sent_at_clock: SentAtClock = SentAtClock.AUTHOR,
    ) -> None:
        """The app gave up sending a message of its user's; the fields are as above."""
        self._record(
            _SEND_FAILED,
            True,
            message_id,
            channel_id,
            sent_at,
            topics,
            envelope_id,
            message_type,
            message_size,
            None,
            reason,
            _NOT_SAID,
            sent_at_clock,
        )

    def channel_joined(self, channel_id: str, *, at: int | None = None) -> None:
        """The user has been in a channel since `at` (Unix ms, this device's clock; None: now).

        An app may call this as often as it likes, for example at each connect. Nothing happens if
        the client already knows that the user is in the channel.
        """
        self._say(lambda now: Joined(channel_id, now if at is None else at))

    def channel_left(self, channel_id: str, *, at: int | None = None) -> None:
        """The user was in a channel until `at` (Unix ms, this device's clock; None: now)."""
        self._say(lambda now: Left(channel_id, now if at is None else at))

    def channels_are(self, channel_ids: Iterable[str]) -> None:
        """The user is in these channels now, and in no other channels.

        The same as `channel_joined` for each of them, and `channel_left` for all other channels
        that the client knows. An app calls it after an opt-in. If it may miss a joining or leaving,
        it also calls it at each start or connect.
        """
        # A single text is not a list of letters: it becomes a fault, as any other type does.
        is_list = isinstance(channel_ids, Iterable) and not isinstance(channel_ids, str | bytes)
        ids: Any = tuple(channel_ids) if is_list else channel_ids
        self._say(lambda now: Present(ids, now))

    def _record(
        self,
        outcome: Outcome,
        is_own: bool,
        message_id: str,
        channel_id: str,
        sent_at: int,
        topics: bytes,
        envelope_id: str,
        message_type: str,
        message_size: int,
        received_at: int | None,
        reason: str,
        via: Via,
        sent_at_clock: SentAtClock,
    ) -> None:
        consent = self._switch.consent
        if not consent or self._recorder is None:
            return
        try:
            now = self._clock()
            self._recorder.take(
                pack_message(
                    consent,
                    now,
                    message_id,
                    channel_id,
                    sent_at,
                    topics,
                    envelope_id,
                    is_own,
                    now if received_at is None else received_at,
                    message_type,
                    message_size,
                    outcome,
                    reason,
                    via,
                    sent_at_clock,
                    self._app.app_version,
                )
            )
        except Exception:
            _LOG.exception("a message could not be recorded")

    def _say(self, said_at: Callable[[int], Said]) -> None:
        consent = self._switch.consent
        if not consent or self._recorder is None:
            return
        try:
            now = self._clock()
            self._recorder.take(pack_channels(consent, now, said_at(now)))
        except Exception:
            _LOG.exception("a membership could not be recorded")

    @property
    def paused(self) -> bool:
        """Whether sending is paused: nothing is sent, not even by `flush` or `close`.

        The app sets it, for example on a metered network or to spare the battery. Samples are
        recorded meanwhile, within the limits. A push that is under way goes on, and servers still
        learn of an opt-out. False at first; forgotten when the app ends.
        """
        return self._is_paused

    @paused.setter
    def paused(self, is_paused: bool) -> None:
        self._is_paused = bool(is_paused)
        if self._sender is not None:
            self._sender.pause(self._is_paused)

    def flush(self) -> None:
        """Sends what waits, without waiting for more: for an app that goes to sleep.

        It returns at once. If the last push has just failed, or the server asked the client to
        wait, the samples wait for the next try.
        """
        if self._switch.consent and self._sender is not None:
            self._sender.flush()

    async def aclose(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - it is for the sending
        """As `close`, but the event loop goes on meanwhile."""
        await asyncio.to_thread(self.close, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Sends what it can in `timeout` seconds; the rest stays in the outbox.

        A push that has just failed is not tried again. So an app ends at once if the server is
        away.
        """
        _OPEN.discard(self)
        sender, self._sender, self._recorder = self._sender, None, None
        if sender is None:
            return
        try:
            sender.stop(timeout)
        except Exception:
            _LOG.exception("telemetry did not end cleanly")

    @property
    def wakeups(self) -> int:
        """How often the background thread woke up since the start. This is what costs battery."""
        return 0 if self._sender is None else self._sender.wakeups


def _forget_parts(reference: "weakref.ref[TelemetryClient]") -> None:
    client = reference()
    if client is not None:
        client._recorder = client._sender = None
