"""The SQLite file that settings and outbox share, and who may use it when.

Several processes may have it open: the app, its settings page, the command line. Each transaction
takes the write lock at its beginning, so that it cannot fail half-way because another one has it.
"""

import contextlib
import glob
import os
import sqlite3
import time
from collections.abc import Iterator
from hashlib import blake2b
from importlib import resources
from pathlib import Path

from devtelemetry.client.errors import BadSetting, Unwritable

BUSY_SECONDS = 5.0  # how long to wait for another process that keeps the file

_ACCOUNT = "-account-"
_HAS_TABLE = "select 1 from sqlite_master where name = ?"
_FIRST = "telemetry_settings"  # the table that every version has
_NEWEST = "telemetry_sampling"  # the table that is new in the latest version of the schema
_SCHEMA, _STAYS, _SAMPLING = (
    resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    for name in ("schema.sql", "upgrade_stays.sql", "upgrade_sampling.sql")
)


class Storage:
    """The file at `path`, made at first use, which only its owner can read.

    It holds no connection: each thread gets its own from `connect()`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with contextlib.closing(self.connect()) as connection:
            try:
                # Looked at without the write lock: opening the settings must not wait for a writer.
                if not _has(connection, _NEWEST):
                    _make(connection)
                    self._remove_what_earlier_versions_made()
            except sqlite3.Error as error:
                raise Unwritable(f"{self.path}: {error}") from error

    @property
    def directory(self) -> Path:
        """The directory beside the file for what running clients share; made at first use."""
        directory = self.path.with_name(self.path.name + "-telemetry")
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory

    def _remove_what_earlier_versions_made(self) -> None:
        directory = self.directory
        for path in (*directory.glob("*.tally"), *directory.glob("*.wake")):
            path.unlink()

    def connect(self) -> sqlite3.Connection:
        """A connection for one thread. Raises Unwritable."""
        try:
            make_private(self.path)
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            if not connection.execute("pragma page_count").fetchone()[0]:
                # So that a wiped outbox frees its space. Only in a new file, because it writes.
                connection.execute("pragma auto_vacuum = incremental")
            _use_wal(connection)
            # What an opt-out wipes must not be found in the file afterwards.
            connection.execute("pragma secure_delete = on")
            # On macOS, synced data may otherwise stay in the drive's cache. No effect elsewhere.
            connection.execute("pragma fullfsync = on")
            connection.execute("pragma checkpoint_fullfsync = on")
        except (OSError, sqlite3.Error) as error:
            raise Unwritable(f"{self.path}: {error}") from error
        return connection


def make_private(path: Path) -> None:
    """Makes an empty file that only its owner can read, if there is none."""
    # SQLite would make it readable for everybody that the umask allows. An existing file is not
    # opened, because closing it would drop the locks that this process has on it.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def path_of(path: str | os.PathLike[str], account: str) -> Path:
    """The file of an account beside `path`. Raises BadSetting.

    The path is absolute: a process that changes its directory must not opt out of another file. An
    account's name may show who its user is, so the file is named after the name's hash.
    """
    named = os.fsdecode(path)
    if named in ("", ":memory:") or named.startswith("file:"):
        raise BadSetting(
            f"path: {named!r}; allowed: the path of a file that other processes can open"
        )
    absolute = Path(named).absolute()
    if not account:
        return absolute
    digest = blake2b(account.encode(), digest_size=16, person=b"dt-account").hexdigest()
    return absolute.with_name(f"{absolute.name}{_ACCOUNT}{digest}")


def settings_files(path: str | os.PathLike[str], account: str | None) -> list[Path]:
    """The settings files of one account, or of the app and all its accounts (None). Makes no file.

    Raises BadSetting if there are none, or if one of the files is not ours.
    """
    named = path_of(path, account or "")
    files = [named]
    if account is None:
        files += sorted(named.parent.glob(f"{glob.escape(named.name)}{_ACCOUNT}{'[0-9a-f]' * 32}"))
    found = [file for file in files if file.is_file()]
    if not found or not all(_is_settings_file(file) for file in found):
        raise BadSetting(
            f"{named}: there is no settings file here; the app makes it when it starts"
        )
    return found


def _is_settings_file(path: Path) -> bool:
    """Whether the file holds settings. Makes no file. Raises Unwritable."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
        ) as connection:
            return _has(connection, _FIRST)
    except sqlite3.Error as error:
        raise Unwritable(f"{path}: {error}") from error


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute(_HAS_TABLE, (table,)).fetchone() is not None


def _make(connection: sqlite3.Connection) -> None:
    """Makes the tables of this version, in an empty file or from those of an earlier version."""
    with transaction(connection, durable=True):
        if _has(connection, _NEWEST):
            return  # another process was faster
        scripts = [_SCHEMA]
        if _has(connection, "telemetry_membership"):
            scripts.append(_STAYS)
        if _has(connection, _FIRST):
            scripts.append(_SAMPLING)
        for script in scripts:
            # One by one, because executescript() would end the transaction.
            for statement in _statements(script):
                connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turns WAL on. Raises OSError if it is not possible: processes could not share the file."""
    give_up = time.monotonic() + BUSY_SECONDS
    while connection.execute("pragma journal_mode").fetchone()[0] != "wal":
        try:
            mode = connection.execute("pragma journal_mode = wal").fetchone()[0]
        except sqlite3.OperationalError as error:
            # Another process makes the file at the same time; SQLite does not wait for that.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            if mode != "wal":
                raise OSError("SQLite has no WAL on this file system; allowed: a local disk")


@contextlib.contextmanager
def transaction(
    connection: sqlite3.Connection, *, durable: bool = False
) -> Iterator[sqlite3.Connection]:
    """Does all of the block or nothing. No other process writes meanwhile.

    durable  whether the block and all earlier commits survive a loss of power; if not, they survive
             only the end of processes
    """
    connection.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
    connection.execute("begin immediate")
    try:
        yield connection
        connection.execute("commit")
    except BaseException:
        # After some errors, such as a full disk, SQLite itself has rolled back already.
        if connection.in_transaction:
            connection.execute("rollback")
        raise
