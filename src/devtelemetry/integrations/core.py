"""What the modules share: which messages this device wrote, which channels it is in, what was said.

An app that restarts fetches from an archive what it wrote before. So ids that this device sent are
kept, and the channels too, in the settings' file: under one opt-in, wiped with it. Writing is left
to a thread, because the file may be busy and an event loop must not wait.
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

SENT_IDS = 10_000  # the latest are kept: an archive is read from where the last look at it ended
_SAID = 50_000  # a message that is said twice costs a sample, and is counted once

# What belongs to an opt-in goes with its identity, in the transaction that ends it.
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
    """`handler`, whose failure is logged: it must not reach the messenger that called it."""

    @functools.wraps(handler)
    def call(*arguments: _P.args, **named: _P.kwargs) -> None:
        try:
            handler(*arguments, **named)
        except Exception:
            _LOG.exception("telemetry missed what the messenger did")

    return call


class Core:
    """Of one connection of the app's, which has a client of its own.

    Any thread may use it, one at a time. Nothing here waits for the disk but the construction.
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
        """Whether this comes for the first time: an archive repeats what came live."""
        self._agree()
        # Others choose their ids, and how long they are.
        digest = blake2b("\0".join(said).encode(), digest_size=16).digest()
        if digest in self._said:
            return False
        self._said[digest] = None
        _shorten(self._said, _SAID)
        return True

    def wrote(self, channel_id: str, message_id: str, sent_at: int) -> None:
        """This device sends the message (Unix ms, this device's clock)."""
        self._agree()
        self._sent[channel_id, message_id] = sent_at
        _shorten(self._sent, SENT_IDS)
        self._write(_REMEMBER, channel_id, message_id, sent_at)

    def written_at(self, channel_id: str, message_id: str) -> int | None:
        """When this device sent the message; None: another did, be it the same user's."""
        return self._sent.get((channel_id, message_id))

    def joined(self, channel_id: str, at: int | None = None) -> None:
        """The user is in the channel, since `at` if that is news (Unix ms; None: now)."""
        self._agree()
        if channel_id in self._channels:
            return  # said already; to say it again would wake the client for nothing
        self._channels[channel_id] = None
        self._write(_REMEMBER, channel_id)
        self.client.channel_joined(channel_id, at=at)

    def joined_before(self, channel_ids: Iterable[str]) -> None:
        """Of an app that brings a module in only when it is in channels already."""
        for channel_id in (present := list(channel_ids)):
            self.joined(channel_id, EARLIEST)
        if present:
            _LOG.warning("what came before now is not reported: bring the module in at the start")

    def is_in(self, channel_id: str) -> bool:
        """Whether the user is in the channel, as far as was said."""
        return channel_id in self._channels

    def left(self, channel_id: str, at: int | None = None) -> None:
        """The user left it; a lost connection is no leaving."""
        self._agree()
        if channel_id in self._channels:
            del self._channels[channel_id]
            self._write(_FORGET, channel_id)
        self.client.channel_left(channel_id, at=at)

    def connected(self, channel_ids: Iterable[str] | None = None) -> None:
        """Says all channels at once: what a kill took of memberships is said again.

        channel_ids  the whole list, if the app has it; None: what is remembered
        """
        self._agree()
        if channel_ids is not None:
            present = dict.fromkeys(channel_ids)
            for channel_id in present.keys() ^ self._channels.keys():
                self._write(_REMEMBER if channel_id in present else _FORGET, channel_id)
            self._channels = present
        self.client.channels_are(list(self._channels))

    def close(self) -> None:
        """What is to be remembered by now still is; nothing later."""
        self._pool.shutdown(wait=False)

    def _agree(self) -> None:
        """After an opt-in nothing is remembered yet, and the server knows no channel."""
        consent = self._settings.switch.consent
        if consent == self._consent:
            return
        self._consent = consent
        for channel_id in list(self._channels):
            self._write(_REMEMBER, channel_id)
            self.client.channel_joined(channel_id, at=EARLIEST)  # that is: since the opt-in

    def _write(self, statement: str, channel_id: str, message_id: str = "", at: int = 0) -> None:
        if self._consent:
            self._pool.submit(
                self._file.write, statement, self._consent, channel_id, message_id, at
            )


class _File:
    """What is remembered in the settings' file, under one consent at a time. Raises nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: sqlite3.Connection | None = None
        self._installation_of = (0, "")  # consent, installation id

    def read(self, consent: int) -> list[tuple[str, str, int]]:
        """Channel, message, when it was sent."""
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
            _LOG.warning("what this device sent before is not known: %s", error)
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
            _LOG.warning("what this device did is not remembered: %s", error)

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
