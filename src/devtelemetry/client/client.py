"""The face of the client library: what an app calls."""

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

# A look at an enum costs a tenth of a call.
_HELD, _UNREADABLE, _DROPPED, _SEND_FAILED = Outcome
_NOT_SAID = Via.NOT_SAID

# Those that were made and not closed: in one process a second key is seen before anyone opts in.
_OPEN: "weakref.WeakSet[TelemetryClient]" = weakref.WeakSet()


class TelemetryClient:
    """Reports the messages that an app holds, if its user opted in.

    settings             of the node; they decide whether anything is recorded and sent
    server               HOST:PORT, unless the settings name another; empty: only they do
    token                `dt_…`, if the server asks for one
    tls                  None: TLS but on loopback. True, False: always, never. A path: a PEM file
                         with the authorities to trust instead of gRPC's own list
    receiver_public_key  of the user; a pseudonym goes out in its place, unless the settings say so
    platform             desktop, android, ios, …
    app_version          as the app's makers write it
    messenger_server     home server, relay or node that the app talks to; empty: not said

    Raises BadSetting for what is no address or token, and for a second receiver key in one
    settings file: each account needs one of its own (`Settings(path, account=…)`).

    Between `start` and `close` every call may come from any thread. It takes microseconds, raises
    nothing, and while the user has not opted in it does nothing and stores nothing.
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
        with contextlib.suppress(Unwritable):  # then it is seen when the file can be read again
            self._settings.check_key(key)
        _OPEN.add(self)

    @property
    def settings(self) -> Settings:
        """Those that it was made with."""
        return self._settings

    def start(self) -> None:
        """Starts the background thread. If that cannot be, the app goes on without telemetry."""
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
                on_end=parts.close,  # by the thread: it may outlast `close`
            )
            sender.pause(self._is_paused)
            sender.start()
        except Exception as error:
            parts.close()
            _LOG.warning("telemetry does not start: %s", error)
            return
        self._recorder, self._sender = recorder, sender
        if hasattr(os, "register_at_fork"):
            # The child of a fork has no thread that would store what it takes.
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

        sent_at        Unix ms, by sent_at_clock
        message_size   bytes; 0: not said
        received_at    Unix ms, this device's clock; None: now
        via            how it came
        sent_at_clock  the author's, as the message says; the messenger's server's; or, where the
                       message says nothing, this device's
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

        Once the app can read it: `message_received`. The other fields are those of that.

        message_id  may be left out if it is not known and envelope_id is
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
        """A message arrived, readable, and the app threw it away: the fields are as above."""
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
        """The user is in a channel since `at` (Unix ms, this device's clock; None: now).

        An app may say so as often as it likes, at each connect say: while the client knows it,
        nothing happens.
        """
        self._say(lambda now: Joined(channel_id, now if at is None else at))

    def channel_left(self, channel_id: str, *, at: int | None = None) -> None:
        """The user was in a channel until `at` (Unix ms, this device's clock; None: now)."""
        self._say(lambda now: Left(channel_id, now if at is None else at))

    def channels_are(self, channel_ids: Iterable[str]) -> None:
        """The user is in these channels now, and in no others.

        As `channel_joined` of each, and `channel_left` of what the client knows beside them. For
        after an opt-in, and for each start or connect of an app that misses some of the rest.
        """
        # A text is no list of its letters: it is set aside as it is.
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
        """Whether nothing is sent, whatever waits, and not by `flush` or `close` either.

        For an app to set: on a metered network, say, or to spare the battery. Everything is
        recorded meanwhile, within the limits. What is under way goes on, and an opt-out is told to
        the servers all the same. False at first; it is not kept when the app ends.
        """
        return self._is_paused

    @paused.setter
    def paused(self, is_paused: bool) -> None:
        self._is_paused = bool(is_paused)
        if self._sender is not None:
            self._sender.pause(self._is_paused)

    def flush(self) -> None:
        """Sends what waits without waiting for more: for an app that goes to sleep.

        It returns at once. What a server asked to wait for, or failed a moment ago, waits on.
        """
        if self._switch.consent and self._sender is not None:
            self._sender.flush()

    async def aclose(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - of the sending
        """As `close`, for an event loop: it goes on meanwhile."""
        await asyncio.to_thread(self.close, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Sends what it can in `timeout` seconds; what is left stays in the outbox.

        It does not try again what failed a moment ago: an app whose server is away ends at once.
        """
        _OPEN.discard(self)
        sender, self._sender, self._recorder = self._sender, None, None
        if sender is None:
            return
        try:
            sender.stop(timeout)
        except Exception:
            _LOG.exception("telemetry did not end in order")

    @property
    def wakeups(self) -> int:
        """How often the background thread woke up since the start: what it costs a battery."""
        return 0 if self._sender is None else self._sender.wakeups


def _forget_parts(reference: "weakref.ref[TelemetryClient]") -> None:
    client = reference()
    if client is not None:
        client._recorder = client._sender = None
