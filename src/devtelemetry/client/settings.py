"""The opt-in and what goes with it, in the node's settings file.

Off until someone opts in. Consent is a value with a date and a number: what was recorded under one
is never sent under another, and nothing from before it is sent at all.
"""

import contextlib
import ipaddress
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from devtelemetry.client.errors import BadSetting, NotOffered, Unwritable
from devtelemetry.client.storage import Storage, transaction
from devtelemetry.client.switch import Switch
from devtelemetry.client.wake import ring_all

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTALLATION_BYTES = 16
_SECRET_BYTES = 32


class Build(StrEnum):
    """Of the host app. A release build that says so does not offer telemetry at all."""

    DEV = "dev"
    RELEASE = "release"


class Problem(StrEnum):
    """Why nothing is sent just now. The texts are stored and shown."""

    UNREACHABLE = "unreachable"  # no connection, or no answer in time: tried again
    BUSY = "busy"  # the server asked to wait
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - no token, or one that the server does not know
    REFUSED = "refused"  # the server could not read what was sent
    SERVER_FAULT = "server_fault"  # an error of the server's own: tried again
    NO_SERVER = "no_server"  # neither the app nor the user named one
    DISK = "disk"  # the outbox cannot be written


@dataclass(frozen=True, slots=True)
class Status:
    """What a settings page shows. Times are aware UTC, by this device's clock.

    waiting       samples queued or under way
    set_aside     samples that the server refused, kept with the reason (the latest ones)
    acknowledged  samples that the server has, since the opt-in
    dropped       samples lost on this device since the opt-in: the outbox was full, or a crash
    leaving       servers that were asked to forget this installation and did not answer yet
    """

    telemetry_enabled: bool
    opted_in_at: datetime | None
    installation_id: str
    waiting: int
    set_aside: int
    acknowledged: int
    dropped: int
    last_sent_at: datetime | None
    problem: Problem | None
    detail: str
    leaving: int


@dataclass(frozen=True, slots=True)
class _Row:
    """telemetry_settings as it stands."""

    telemetry_enabled: bool
    opted_in_at: int | None
    consent: int
    build: Build
    server: str
    token: str
    send_real_key: bool
    blind_ids: bool


class Settings:
    """The settings in the file at `path`, which is made if it is not there.

    path   of the SQLite file; several processes may use one at the same time
    build  of the host app, remembered in the file; None: as the file has it, `dev` in a new one
    clock  Unix ms of this device

    Any thread may use it. Raises ClientError where the file cannot be read or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        build: Build | str | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.storage = Storage(path)
        self.clock = clock
        try:
            self.switch = Switch(self.storage.directory)
        except OSError as error:
            raise Unwritable(f"{self.storage.directory}: {error}") from error
        self._agree(None if build is None else Build(build))

    def _agree(self, build: Build | None) -> None:
        """Brings file and switch together, and ends an opt-out that was cut short."""
        with self._writing() as connection:
            if build is not None:
                connection.execute("update telemetry_settings set build = ?", (build,))
            row = _read(connection)
            if self.switch.is_new and row.telemetry_enabled:
                # Nobody has cleared it: it was never there, or somebody tidied up.
                self.switch.consent = row.consent
            is_half_off = row.telemetry_enabled and self.switch.consent != row.consent
            if not row.telemetry_enabled:
                self.switch.consent = 0
        if is_half_off or (row.telemetry_enabled and row.build is Build.RELEASE):
            self.disable()

    # --------------------------------------------------------------------------------- the opt-in

    @property
    def telemetry_enabled(self) -> bool:
        """Whether the user has opted in (D3's `telemetry-enabled`); False by default."""
        row = self._row()
        return row.telemetry_enabled and row.build is Build.DEV

    @property
    def opted_in_at(self) -> datetime | None:
        """When, aware UTC; None while off."""
        return moment(self._row().opted_in_at)

    @property
    def is_offered(self) -> bool:
        """Whether the option exists: not in a release build."""
        return self._row().build is Build.DEV

    def enable(self) -> None:
        """Opts in, as of now. Nothing happens if that is so already.

        Raises NotOffered in a release build.
        """
        if not self.is_offered:
            raise NotOffered("this is a release build of the app: it does not offer telemetry")
        before = self.switch.consent
        try:
            with self._writing(durable=True) as connection:
                row = _read(connection)
                consent = row.consent
                if not row.telemetry_enabled:
                    consent += 1
                    _opt_in(connection, consent, self.clock())
                # Inside: who finds the file on and the switch off ends an opt-out cut short.
                self.switch.consent = consent
        except BaseException:
            self.switch.consent = before
            raise
        self._announce()

    def disable(self) -> None:
        """Opts out: from now on nothing is recorded or sent, and nothing is kept.

        Queue, history, installation id and secret are gone when this returns. What remains is a
        request to each server that got samples to forget them; the running client, or the next
        one, repeats it until it is acknowledged.
        """
        self.switch.consent = 0
        with self._writing(durable=True) as connection:
            connection.execute(
                "insert or ignore into telemetry_farewell (installation_id, server, token)"
                " select installation_id, recipient.server, token"
                " from telemetry_identity, telemetry_recipient as recipient"
            )
            for table in ("outbox", "membership", "recipient", "identity", "status", "tally"):
                connection.execute(f"delete from telemetry_{table}")  # noqa: S608 - our own names
            connection.execute(
                "update telemetry_settings set telemetry_enabled = 0, opted_in_at = null"
            )
        self.vanish()
        self._announce()

    def vanish(self) -> None:
        """What was deleted leaves the disk too: the log that still holds it is emptied."""
        with contextlib.suppress(Unwritable), self.connected() as connection:
            # As a script: execute() steps once, and each step frees a single page.
            connection.executescript("pragma incremental_vacuum")
            connection.execute("pragma wal_checkpoint(truncate)").fetchall()

    # ------------------------------------------------------------------------- what goes with it

    @property
    def server(self) -> str:
        """HOST:PORT that was chosen here; empty: the one that the app names."""
        return self._row().server

    @server.setter
    def server(self, server: str) -> None:
        self._set("server", check_server(server) if server else "")

    @property
    def token(self) -> str:
        """The token for the server; empty: the app's, for the server that the app names."""
        return self._row().token

    @token.setter
    def token(self, token: str) -> None:
        self._set("token", check_token(token))

    @property
    def send_real_key(self) -> bool:
        """Send the receiver's public key itself instead of a pseudonym; False by default."""
        return self._row().send_real_key

    @send_real_key.setter
    def send_real_key(self, wanted: bool) -> None:
        self._set("send_real_key", int(wanted))

    @property
    def blind_ids(self) -> bool:
        """Send channel, message and envelope ids blinded, and no topics; False by default.

        Whatever the members of a channel choose, they have to choose alike to be compared.
        """
        return self._row().blind_ids

    @blind_ids.setter
    def blind_ids(self, wanted: bool) -> None:
        self._set("blind_ids", int(wanted))

    def status(self) -> Status:
        """How it goes: one consistent look."""
        with self.connected() as connection:
            connection.execute("begin")
            row = _read(connection)
            identity = connection.execute("select * from telemetry_identity").fetchone()
            last = connection.execute("select * from telemetry_status").fetchone()
            set_aside = connection.execute(
                "select count(*) from telemetry_outbox where state = 'set_aside'"
            ).fetchone()[0]
            leaving = connection.execute("select count(*) from telemetry_farewell").fetchone()[0]
            connection.execute("commit")
        problem = Problem(last["problem"]) if last and last["problem"] else None
        detail = last["detail"] if last else ""
        if self.switch.is_stuck:
            problem, detail = Problem.DISK, "the outbox cannot be written"
        return Status(
            telemetry_enabled=row.telemetry_enabled and row.build is Build.DEV,
            opted_in_at=moment(row.opted_in_at),
            installation_id=identity["installation_id"] if identity else "",
            waiting=identity["waiting_samples"] if identity else 0,
            set_aside=set_aside,
            acknowledged=identity["acknowledged"] if identity else 0,
            dropped=identity["dropped"] if identity else 0,
            last_sent_at=moment(last["last_sent_at"]) if last else None,
            problem=problem,
            detail=detail,
            leaving=leaving,
        )

    # ---------------------------------------------------------------------------------- the file

    def _row(self) -> _Row:
        with self.connected() as connection:
            return _read(connection)

    def _set(self, column: str, value: object) -> None:
        with self._writing(durable=True) as connection:
            connection.execute(f"update telemetry_settings set {column} = ?", (value,))  # noqa: S608
        self._announce()

    def _announce(self) -> None:
        """Running clients look at the settings again, now."""
        self.switch.changed()
        ring_all(self.storage.directory)

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        # One for each use: settings are used rarely, and by any thread.
        with contextlib.closing(self.storage.connect()) as connection:
            try:
                yield connection
            except sqlite3.Error as error:
                raise Unwritable(f"{self.storage.path}: {error}") from error

    @contextlib.contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        with self.connected() as connection, transaction(connection, durable=durable):
            yield connection


def _opt_in(connection: sqlite3.Connection, consent: int, opted_in_at: int) -> None:
    connection.execute(
        "update telemetry_settings set telemetry_enabled = 1, opted_in_at = ?, consent = ?",
        (opted_in_at, consent),
    )
    connection.execute(
        "insert or replace into telemetry_identity (singleton, installation_id, secret)"
        " values (1, ?, ?)",
        (secrets.token_hex(_INSTALLATION_BYTES), secrets.token_bytes(_SECRET_BYTES)),
    )


def _read(connection: sqlite3.Connection) -> _Row:
    row = connection.execute("select * from telemetry_settings").fetchone()
    return _Row(
        telemetry_enabled=bool(row["telemetry_enabled"]),
        opted_in_at=row["opted_in_at"],
        consent=row["consent"],
        build=Build(row["build"]),
        server=row["server"],
        token=row["token"],
        send_real_key=bool(row["send_real_key"]),
        blind_ids=bool(row["blind_ids"]),
    )


def check_server(server: str) -> str:
    """`server` as HOST:PORT. Raises BadSetting."""
    host, separator, port = server.strip().rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if (
        not separator
        or not host
        or (":" in host and not is_bracketed)
        or any(letter.isspace() or letter in "/@?#" for letter in host)
        or not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16)
    ):
        raise BadSetting(f"server: {server!r} is no address; allowed: HOST:PORT")
    return f"{host}:{port}"


def check_token(token: str) -> str:
    """`token`, if a request can carry it. Raises BadSetting."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadSetting("the token holds a character that no token has; allowed: dt_…")
    return token


def is_loopback(server: str) -> bool:
    """Whether HOST:PORT is this machine."""
    host = server.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def moment(unix_ms: int | None) -> datetime | None:
    """The aware UTC datetime of Unix ms."""
    return None if unix_ms is None else _EPOCH + timedelta(milliseconds=unix_ms)
