"""What the modules share: what this device sent, which channels it is in, what it reported already.

After a restart an app fetches its own messages from an archive. So the ids of sent messages are
kept in the settings file, and so are the channels. They belong to one opt-in and are wiped with it.
A thread does the writing, because the file may be busy and an event loop must not wait.
"""

import functools
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import ParamSpec, TypeVar

from devtelemetry.client import ClientError, Settings, TelemetryClient
from devtelemetry.client.lost import EARLIEST
from devtelemetry.client.storage import transaction

_LOG = logging.getLogger("devtelemetry.integrations")
_P = ParamSpec("_P")
_T = TypeVar("_T")
_V = TypeVar("_V")

SENT_IDS = 10_000  # only the latest: an app reads an archive from where it stopped the last time
_SAID = 50_000  # only the latest: a second report costs one more sample and changes no figure

# The trigger wipes what belongs to an opt-in, in the transaction that ends it.
_SCHEMA = """
create table if not exists telemetry_remembered (
    installation_id  text    not null,
    channel_id       text    not null,
    message_id       text    not null,  -- empty: the channel itself, which this device is in
    sent_at          integer not null,  -- Unix ms, this device's clock
    unique (installation_id, channel_id, message_id)
);
create trigger if not exists telemetry_remembered_wiped after delete on telemetry_identity begin
    delete from telemetry_remembered where installation_id = old.installation_id;
end;
"""
_REMEMBER = (
    "insert or ignore into telemetry_remembered select installation_id, ?, ?, ?"
    " from telemetry_identity where installation_id = ?"
)
_FORGET = (
    "delete from telemetry_remembered"
    " where channel_id = ? and message_id = ? and sent_at >= ? and installation_id = ?"
)
_TRIM = (
    "delete from telemetry_remembered where message_id <> ''"
    " and rowid <= (select max(rowid) from telemetry_remembered) - ?"
)


def guarded(handler: Callable[_P, object]) -> Callable[_P, None]:
    """`handler`, but an error in it is logged: it must not reach the messenger that called it."""

    @functools.wraps(handler)
    def call(*arguments: _P.args, **named: _P.kwargs) -> None:
        try:
            handler(*arguments, **named)
        except Exception:
            _LOG.exception("telemetry missed something that the messenger did")

    return call


class Core:
    """The state of one connection of the app, which needs a client of its own.

    Any thread may use it, but only one at a time. Only the constructor waits for the disk.
    """

    def __init__(self, client: TelemetryClient) -> None:
        self.client = client
        self._settings = client.settings
        self._said: OrderedDict[bytes, None] = OrderedDict()
        self._sent: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._channels: dict[str, None] = {}
        self._file = _File(self._settings)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="devtelemetry-core")
        self._consent = self._settings.switch.consent
        for channel_id, message_id, sent_at in self._file.read(self._consent):
            if message_id:
                self._sent[channel_id, message_id] = sent_at
            else:
                self._channels[channel_id] = None

    def now(self) -> int:
        """Unix ms, this device's clock."""
        return self._settings.clock()

    def is_new(self, *said: str) -> bool:
        """Whether these texts were not passed before: an archive repeats what came live."""
        self._agree()
        # Hashed, because other people choose the ids, and may make them long.
        digest = blake2b("\0".join(said).encode(), digest_size=16).digest()
        if digest in self._said:
            return False
        self._said[digest] = None
        _shorten(self._said, _SAID)
        return True

    def wrote(self, channel_id: str, message_id: str, sent_at: int) -> None:
        """This device sends the message. sent_at: Unix ms, this device's clock."""
        self._agree()
        self._sent[channel_id, message_id] = sent_at
        _shorten(self._sent, SENT_IDS)
        self._write(_REMEMBER, channel_id, message_id, sent_at)

    def written_at(self, channel_id: str, message_id: str) -> int | None:
        """When this device sent the message; None: another device did, perhaps of the same user."""
        return self._sent.get((channel_id, message_id))

    def joined(self, channel_id: str, at: int | None = None) -> None:
        """The user is in the channel: since `at` if this is not known yet (Unix ms; None: now)."""
        self._agree()
        if channel_id in self._channels:
            return  # reported already; once more would wake the client for nothing
        self._channels[channel_id] = None
        self._write(_REMEMBER, channel_id)
        self.client.channel_joined(channel_id, at=at)

    def joined_before(self, channel_ids: Iterable[str]) -> None:
        """For an app that attaches a module when it is already in channels."""
        for channel_id in (present := list(channel_ids)):
            self.joined(channel_id, EARLIEST)
        if present:
            _LOG.warning(
                "what happened before now is not reported; attach the module when the app starts"
            )

    def is_in(self, channel_id: str) -> bool:
        """Whether the user is in the channel, as far as the app reported."""
        return channel_id in self._channels

    def left(self, channel_id: str, at: int | None = None) -> None:
        """The user left the channel. A lost connection is not a leaving."""
        self._agree()
        if channel_id in self._channels:
            del self._channels[channel_id]
            self._write(_FORGET, channel_id)
        self.client.channel_left(channel_id, at=at)

    def connected(self, channel_ids: Iterable[str] | None = None) -> None:
        """Reports all channels at once, because a killed app may have lost reports of memberships.

        channel_ids  the whole list, if the app has it; None: the channels that are remembered
        """
        self._agree()
        if channel_ids is not None:
            present = dict.fromkeys(channel_ids)
            for channel_id in present.keys() ^ self._channels.keys():
                self._write(_REMEMBER if channel_id in present else _FORGET, channel_id)
            self._channels = present
        self.client.channels_are(list(self._channels))

    def close(self) -> None:
        """Ends the thread that writes. It still writes everything from before this call."""
        self._pool.shutdown(wait=False)

    def _agree(self) -> None:
        """After a new opt-in, remembers and reports all channels: file and server know none yet."""
        consent = self._settings.switch.consent
        if consent == self._consent:
            return
        self._consent = consent
        for channel_id in list(self._channels):
            self._write(_REMEMBER, channel_id)
            self.client.channel_joined(channel_id, at=EARLIEST)  # becomes the opt-in's time

    def _write(self, statement: str, channel_id: str, message_id: str = "", at: int = 0) -> None:
        if self._consent:
            self._pool.submit(
                self._file.write, statement, self._consent, channel_id, message_id, at
            )


class _File:
    """What the settings file remembers, under one consent at a time. Raises nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: sqlite3.Connection | None = None
        self._installation_of = (0, "")  # consent, installation id

    def read(self, consent: int) -> list[tuple[str, str, int]]:
        """Rows of channel id, message id (empty: the user is in the channel), and sent_at."""
        try:
            if not consent:
                return []
            connection, installation_id = self._open(consent)
            rows = connection.execute(
                "select channel_id, message_id, sent_at from telemetry_remembered"
                " where installation_id = ? order by rowid",
                (installation_id,),
            )
            return [tuple(row) for row in rows]
        except (ClientError, sqlite3.Error) as error:
            _LOG.warning("the messages that this device sent before are not known: %s", error)
            return []

    def write(
        self, statement: str, consent: int, channel_id: str, message_id: str, sent_at: int
    ) -> None:
        try:
            connection, installation_id = self._open(consent)
            with transaction(connection):
                connection.execute(statement, (channel_id, message_id, sent_at, installation_id))
                connection.execute(_TRIM, (SENT_IDS,))
        except (ClientError, sqlite3.Error) as error:
            _LOG.warning("an action of this device cannot be remembered: %s", error)

    def _open(self, consent: int) -> tuple[sqlite3.Connection, str]:
        if self._installation_of[0] != consent:
            self._installation_of = (consent, self._settings.status().installation_id)
        if self._connection is None:
            self._connection = self._settings.storage.connect()
            self._connection.executescript(_SCHEMA)
        return self._connection, self._installation_of[1]


def _shorten(things: OrderedDict[_T, _V], length: int) -> None:
    if len(things) > length:
        things.popitem(last=False)
