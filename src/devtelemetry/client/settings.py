"""The opt-in and its settings, in the node's settings file.

Telemetry is off until someone opts in. Each consent has a date and a number. A sample that was
recorded under one consent is never sent under another, and nothing from before a consent is sent.
"""

import contextlib
import ipaddress
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from devtelemetry.client.blind import pseudonym, short_id
from devtelemetry.client.errors import BadSetting, NotOffered, Unwritable
from devtelemetry.client.journal import state_of_all, wipe_all
from devtelemetry.client.machine import boot_id, uptime_ms
from devtelemetry.client.storage import Storage, path_of, transaction
from devtelemetry.client.switch import Switch
from devtelemetry.client.wake import ring_all
from devtelemetry.v1 import telemetry_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTALLATION_BYTES = 16
_SECRET_BYTES = 32
_VANISH_MS = 200  # how long to wait for other readers; a running client tries again later


# Names in telemetry_count. All other names there are faults.
BEFORE_OPT_IN = "before_opt_in"
NOT_IN_SAMPLE = "not_in_sample: "  # followed by n, if one message in n is reported
SECOND_KEY = (
    "another receiver key already reports with this settings file; use Settings(path, account=…) "
    "with a name for each account"
)


class Build(StrEnum):
    """The kind of build of the host app. A release build does not offer telemetry at all."""

    DEV = "dev"
    RELEASE = "release"


class Problem(StrEnum):
    """Why nothing is sent at present. The texts are stored and shown."""

    UNREACHABLE = "unreachable"  # no connection, or no answer in time; the client tries again
    BUSY = "busy"  # the server asked to wait
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - no token, or one that the server does not know
    REFUSED = "refused"  # the server could not read the push, or is not a telemetry server
    SERVER_FAULT = "server_fault"  # an error in the server; the client tries again
    NO_SERVER = "no_server"  # neither the app nor the user named a server
    DISK = "disk"  # the outbox cannot be written


@dataclass(frozen=True, slots=True)
class Status:
    """What a settings page shows. Times are aware UTC, by this device's clock. Counts begin at the
    opt-in.

    waiting        samples that are queued or under way
    set_aside      samples that the server refused or that cannot be sent; the latest are kept, with
                   their reasons
    acknowledged   samples that the server has
    dropped        samples that were lost on this device, for lack of room or power
    before_opt_in  reported messages that were sent before the opt-in; nothing is kept of them
    not_in_sample  messages that left no sample, because the server wants only one in n: by n
    faults         calls of the app with a fault, by kind and field; such samples are set aside
    leaving        requests to forget that a server has not answered yet
    paused         whether the app of a running client has paused sending
    """

    telemetry_enabled: bool
    opted_in_at: datetime | None
    installation_id: str
    waiting: int
    set_aside: int
    acknowledged: int
    dropped: int
    before_opt_in: int
    not_in_sample: Mapping[int, int]
    faults: Mapping[str, int]
    last_sent_at: datetime | None
    problem: Problem | None
    detail: str
    leaving: int
    paused: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """The row of telemetry_settings."""

    telemetry_enabled: bool
    opted_in_at: int | None
    consent: int
    build: Build
    server: str
    token: str
    send_real_key: bool
    blind_ids: bool

    @property
    def given(self) -> int:
        """The number of the consent that is given; 0 if none is."""
        return self.consent if self.telemetry_enabled and self.build is Build.DEV else 0


class Settings:
    """The settings in the file at `path`, which is made if it does not exist.

    path     of the SQLite file; several processes may use it at the same time. A relative path is
             made absolute at once
    account  whose settings these are, if the app has several accounts. Each has a file of its own
             beside `path`, with its own opt-in, identity and outbox. Empty: the app has only one
    build    of the host app, kept in the file; None: what the file has, `dev` in a new file
    clock    Unix ms of this device

    Any thread may use it. Raises ClientError if the file cannot be read or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        account: str = "",
        build: Build | str | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.storage = Storage(path_of(path, account))
        self.clock = clock
        try:
            self.switch = Switch(self.storage.directory)
        except OSError as error:
            raise Unwritable(f"{self.storage.directory}: {error}") from error
        if build is not None and build != self._row().build:
            with self._writing() as connection:
                connection.execute("update telemetry_settings set build = ?", (Build(build),))
        self.agree()

    def agree(self) -> None:
        """Makes file and switch agree, and completes an opt-out that was cut short.

        Every Settings calls this once, and a running client whenever it finds the switch off.
        """
        row = self._row()
        if self.switch.consent == row.given and not self.switch.is_new:
            return
        with self._writing(durable=True) as connection:
            row = _read(connection)
            if self.switch.is_new:
                # The switch's file is new, so it is not off by an opt-out: the settings decide.
                self.switch.consent = row.given
                self.switch.is_new = False
            is_half_off = row.telemetry_enabled and self.switch.consent != row.consent
            is_withdrawn = row.telemetry_enabled and not row.given
            if is_half_off or is_withdrawn:
                self._wipe_journals()
                _opt_out(connection)
            if is_half_off or not row.given:
                self.switch.consent = 0
        if is_half_off or is_withdrawn:
            self.vanish()
        self._announce()

    # --------------------------------------------------------------------------------- the opt-in

    @property
    def telemetry_enabled(self) -> bool:
        """Whether the user has opted in; False by default."""
        return self._row().given != 0

    @property
    def opted_in_at(self) -> datetime | None:
        """When the user opted in, aware UTC; None while off."""
        return moment(self._row().opted_in_at)

    @property
    def is_offered(self) -> bool:
        """Whether this build of the app offers telemetry. A release build does not."""
        return self._row().build is Build.DEV

    def enable(self) -> None:
        """Opts in, from now on. Nothing happens if the user has opted in already.

        Raises NotOffered in a release build.
        """
        if not self.is_offered:
            raise NotOffered("this is a release build of the app: it does not offer telemetry")
        opted_in = 0
        try:
            with self._writing(durable=True) as connection:
                row = _read(connection)
                if row.telemetry_enabled and self.switch.consent == row.consent:
                    return
                if row.telemetry_enabled:
                    # An opt-out was cut short: first do the rest of it.
                    _opt_out(connection)
                opted_in = row.consent + 1
                _opt_in(connection, opted_in, self.clock())
                # Inside the transaction, so that nobody sees file and switch differ.
                self.switch.consent = opted_in
                self.switch.flush()
        except BaseException:
            if opted_in and self.switch.consent == opted_in:
                self.switch.consent = 0
            raise
        finally:
            self._announce()

    def disable(self) -> None:
        """Opts out: from now on nothing is recorded or sent, and nothing is kept.

        Queue, history, installation id and secret are gone when this returns. What remains is one
        request for each server that got samples, to forget them. The running client, or the next
        one, repeats it until the server acknowledges it.

        Raises Unwritable if the file cannot be written. Even then nothing more is recorded or sent.
        The running client, or the next to open the file, completes the opt-out.
        """
        self.switch.consent = 0
        try:
            with self._writing(durable=True) as connection:
                # Inside the transaction, so that no record of a new opt-in is wiped.
                self._wipe_journals()
                _opt_out(connection)
                # Once more: somebody may have opted in while this call waited for the file.
                self.switch.consent = 0
                self.switch.flush()
            self.vanish()
        finally:
            self._announce()

    def _wipe_journals(self) -> None:
        try:
            wipe_all(self.storage.directory)
        except OSError as error:
            raise Unwritable(f"{self.storage.directory}: {error}") from error

    def vanish(self) -> bool:
        """Removes deleted data from the disk too. Returns whether all of it is gone.

        The file's log still holds it while another process reads an older state.
        """
        try:
            with self.connected() as connection:
                connection.execute(f"pragma busy_timeout = {_VANISH_MS}")
                # A script, because execute() makes a single step, and a step frees a single page.
                connection.executescript("pragma incremental_vacuum")
                is_busy = connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        except Unwritable:
            return False
        return not is_busy

    def check_key(self, key: str) -> None:
        """Raises BadSetting if a client with another receiver key reports by this file."""
        if key and self.switch.consent:
            with self.connected() as connection:
                if other_key_reports(connection, key):
                    raise BadSetting(f"receiver_public_key: {SECOND_KEY}")

    # --------------------------------------------------------------------------- the other settings

    @property
    def server(self) -> str:
        """HOST:PORT that the user has set; empty: the server that the app names."""
        return self._row().server

    @server.setter
    def server(self, server: str) -> None:
        self._set("server", check_server(server) if server else "")

    @property
    def token(self) -> str:
        """The token for the server; empty: the app's token, if the server is the app's."""
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

        All members of a channel have to choose the same. Otherwise the server cannot compare them.
        """
        return self._row().blind_ids

    @blind_ids.setter
    def blind_ids(self, wanted: bool) -> None:
        self._set("blind_ids", int(wanted))

    def status(self) -> Status:
        """How telemetry is doing, read in one transaction."""
        with self.connected() as connection:
            connection.execute("begin")
            row = _read(connection)
            identity = connection.execute("select * from telemetry_identity").fetchone()
            last = connection.execute("select * from telemetry_status").fetchone()
            counts = dict(connection.execute("select * from telemetry_count order by name"))
            leaving = connection.execute("select count(*) from telemetry_farewell").fetchone()[0]
            connection.execute("commit")
        problem = Problem(last["problem"]) if last and last["problem"] else None
        detail = last["detail"] if last else ""
        not_in_sample = {
            int(name.removeprefix(NOT_IN_SAMPLE)): counts.pop(name)
            for name in list(counts)
            if name.startswith(NOT_IN_SAMPLE)
        }
        state = state_of_all(self.storage.directory)
        if state.is_stuck:
            problem, detail = Problem.DISK, "the outbox cannot be written"
        return Status(
            telemetry_enabled=row.given != 0,
            opted_in_at=moment(row.opted_in_at),
            installation_id=identity["installation_id"] if identity else "",
            waiting=identity["waiting_samples"] if identity else 0,
            set_aside=identity["set_aside"] if identity else 0,
            acknowledged=identity["acknowledged"] if identity else 0,
            dropped=identity["dropped"] if identity else 0,
            before_opt_in=counts.pop(BEFORE_OPT_IN, 0),
            not_in_sample=dict(sorted(not_in_sample.items())),
            faults=counts,
            last_sent_at=moment(last["last_sent_at"]) if last else None,
            problem=problem,
            detail=detail,
            leaving=leaving,
            paused=state.is_paused,
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
        """Makes all running clients read the settings again, now."""
        self.switch.changed()
        ring_all(self.storage.directory)

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        # A new connection for each use, because any thread may use the settings, and rarely does.
        with contextlib.closing(self.storage.connect()) as connection:
            try:
                yield connection
            except sqlite3.Error as error:
                raise Unwritable(f"{self.storage.path}: {error}") from error

    @contextlib.contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        with self.connected() as connection, transaction(connection, durable=durable):
            yield connection


def other_key_reports(connection: sqlite3.Connection, key: str) -> bool:
    """Whether a client with another receiver key has reported by this file since the opt-in."""
    row = connection.execute("select secret, reporter from telemetry_identity").fetchone()
    if row is None or not row["reporter"]:
        return False
    reporting = telemetry_pb2.Reporter.FromString(row["reporter"]).receiver_public_key
    # The last one: an app that gave no key at first may give one later.
    known = (short_id(key), pseudonym(row["secret"], key), pseudonym(row["secret"], ""))
    return reporting not in known


def _opt_in(connection: sqlite3.Connection, consent: int, opted_in_at: int) -> None:
    connection.execute(
        "update telemetry_settings set telemetry_enabled = 1, opted_in_at = ?, consent = ?,"
        " opted_in_boot = ?, opted_in_uptime = ?",
        (opted_in_at, consent, boot_id(), uptime_ms()),
    )
    connection.execute(
        "insert or replace into telemetry_identity"
        " (singleton, installation_id, secret, knows_stays) values (1, ?, ?, 1)",
        (secrets.token_hex(_INSTALLATION_BYTES), secrets.token_bytes(_SECRET_BYTES)),
    )


def _opt_out(connection: sqlite3.Connection) -> None:
    connection.execute(
        "insert or ignore into telemetry_farewell (installation_id, server, token)"
        " select installation_id, recipient.server, token"
        " from telemetry_identity, telemetry_recipient as recipient"
    )
    for table in (
        "outbox",
        "stay",
        "lost",
        "sampling",
        "recipient",
        "identity",
        "status",
        "count",
        "journal",
    ):
        connection.execute(f"delete from telemetry_{table}")  # noqa: S608 - our own names
    connection.execute("update telemetry_settings set telemetry_enabled = 0, opted_in_at = null")


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
        raise BadSetting(f"server: {server!r} is not an address; allowed: HOST:PORT")
    return f"{host}:{port}"


def check_token(token: str) -> str:
    """`token`, if it can be sent in a header. Raises BadSetting."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadSetting("the token contains a character that no token has; allowed: dt_…")
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
