"""The real bundled PostgreSQL is started, joined, stopped and killed.

A `User` is another process that uses it, and that a test can kill.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import asyncpg
import pytest

from devtelemetry.model.errors import EmbeddedError
from devtelemetry.settings.settings import default_data_dir
from devtelemetry.store import embedded
from devtelemetry.store.embedded import AlreadyServing, EmbeddedServer, identity
from devtelemetry.store.embedded.cluster import Cluster
from devtelemetry.store.embedded.program import program

pytestmark = pytest.mark.slow

T = TypeVar("T")
SOURCES = Path(embedded.__file__).parents[3]
LAUNCHER = Path(identity.__file__).with_name("_launch.py")
NOBODY = pwd.getpwnam("nobody")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")

USER = """
import sys
from pathlib import Path
from devtelemetry.model.errors import EmbeddedError
from devtelemetry.settings.settings import default_data_dir
from devtelemetry.store.embedded import EmbeddedServer

directory = Path(sys.argv[1]) if sys.argv[1] else default_data_dir()
server = EmbeddedServer(directory, exclusive=sys.argv[2] == "serve")
say = lambda *words: print(*words, flush=True)
try:
    server.start()
    say("url", server.url)
    for line in sys.stdin:
        say("restarted", server.ensure_running())
except EmbeddedError as error:
    say("refused", type(error).__name__, error)
except KeyboardInterrupt:
    say("interrupted, restarted", server.ensure_running())
finally:
    server.stop()
    say("stopped")
"""


class User:
    """A process that uses the PostgreSQL of a directory until its standard input ends."""

    def __init__(self, data_dir: Path | str, role: str = "report", *prefix: str) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", USER, str(data_dir), role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def url(self) -> str:
        """Waits until it has PostgreSQL; returns the URL."""
        kind, _, url = self.hear().partition(" ")
        assert kind == "url", url
        return url

    def ensure_running(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.hear()

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.hear() == "stopped"
        assert self.process.wait(30) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def query(url: str, statement: str) -> object:
    """The first value of a statement's result. Runs in a thread, with a loop of its own."""

    async def ask() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(ask())).result()


def until(look: Callable[[], T | None], seconds: float = 20) -> T:
    """Waits until look() returns something true; returns that."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.002)


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres/postmaster.pid").read_text().splitlines()[0])


def nobody_left(data_dir: Path) -> bool:
    """Whether no process of the cluster is alive, by the kernel (rule 1 of embedded/)."""
    with (data_dir / "postgres.lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def running(words: bytes) -> list[int]:
    """The processes whose command line contains the words."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and words in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def clear(data_dir: Path) -> None:
    """Ends all processes that a test, or its failure, left running in a directory."""
    for pid in running(os.fsencode(data_dir / "postgres")):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
    if (data_dir / "postgres.lock").exists():
        until(lambda: nobody_left(data_dir))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after a first start and stop, which tests copy."""
    data_dir = tmp_path_factory.mktemp("made") / "data"
    with EmbeddedServer(data_dir) as server:
        query(server.url, "create table kept (value int)")
    return data_dir


@pytest.fixture
def data_dir(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A data directory for one test, already started once."""
    path = tmp_path / "data"
    shutil.copytree(made, path)
    yield path
    clear(path)


@pytest.fixture
def new_dir(tmp_path: Path) -> Iterator[Path]:
    """A path at which there is no data directory yet."""
    path = tmp_path / "deep" / "data"
    yield path
    clear(path)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that only root can read, but whose parents all can read, unlike tmp_path's."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    yield path
    clear(path / "data")
    shutil.rmtree(path)


def test_first_start_makes_a_durable_database_that_only_its_owner_reaches(new_dir: Path) -> None:
    with EmbeddedServer(new_dir) as server:
        expected = {
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "listen_addresses": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "shared_buffers": "256MB",
            "max_wal_size": "4GB",
            "checkpoint_timeout": "15min",
            "jit": "off",
        }
        found = {name: query(server.url, f"show {name}") for name in expected}
        assert found == expected
        assert query(server.url, "select current_user || '@' || current_database()") == (
            "devtelemetry@devtelemetry"
        )
        assert query(server.url, "select datlocale from pg_database limit 1") == "C.UTF-8"
        assert server.url.startswith("postgresql://devtelemetry@/devtelemetry?host=")
        assert [mode(new_dir), mode(new_dir / "socket"), mode(new_dir / "postgres")] == [0o700] * 3
        assert "ready to accept connections" in (new_dir / "postgres.log").read_text()
    assert nobody_left(new_dir)
    assert not (new_dir / "postgres/postmaster.pid").exists()


def test_data_stay_when_stopped_and_started_again(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir)
    for times in range(2):
        server.start()
        assert query(server.url, "select count(*) from kept") == times
        query(server.url, "insert into kept values (1)")
        server.stop()


def test_the_last_user_out_stops_postgres(data_dir: Path) -> None:
    first, second = EmbeddedServer(data_dir), EmbeddedServer(data_dir, exclusive=True)
    first.start()
    second.start()
    assert first.url == second.url
    url = first.url
    first.stop()
    first.stop()
    assert query(url, "select 1") == 1
    second.stop()
    assert nobody_left(data_dir)


def test_a_command_joins_serve_and_goes_on_when_serve_leaves(data_dir: Path) -> None:
    with User(data_dir, "serve") as serve, User(data_dir) as report:
        assert serve.url() == (url := report.url())
        pid = postmaster(data_dir)
        serve.leave()
        assert query(url, "select 1") == 1
        assert postmaster(data_dir) == pid
        report.leave()
        assert nobody_left(data_dir)


def test_second_serve_is_refused_and_told_who_holds_the_directory(data_dir: Path) -> None:
    with User(data_dir, "serve") as serve:
        serve.url()
        with pytest.raises(AlreadyServing) as refusal:
            EmbeddedServer(data_dir, exclusive=True).start()
        assert str(data_dir) in str(refusal.value)
        assert f"process {serve.process.pid}:" in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert serve.ensure_running() == "restarted False"
        serve.leave()
    with EmbeddedServer(data_dir, exclusive=True):
        pass


def test_a_dead_serve_s_child_that_still_has_its_lock_refuses_nobody(data_dir: Path) -> None:
    """The child is between fork and exec, which can be the moment of the kill."""
    with subprocess.Popen(["/bin/true"]) as dead, (data_dir / "serve.lock").open("w") as held:
        dead.wait()
        held.write(str(dead.pid))
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        with EmbeddedServer(data_dir), ThreadPoolExecutor(1) as pool:
            server = EmbeddedServer(data_dir, exclusive=True)
            start = pool.submit(server.start)
            with pytest.raises(TimeoutError):
                start.result(0.05)
            fcntl.flock(held, fcntl.LOCK_UN)
            start.result()
            server.stop()


def test_after_a_kill_of_serve_the_next_takes_over_the_running_postgres(data_dir: Path) -> None:
    with User(data_dir, "serve") as serve:
        url = serve.url()
        pid = postmaster(data_dir)
        serve.kill()
        assert query(url, "select 1") == 1
    with EmbeddedServer(data_dir, exclusive=True) as server:
        assert postmaster(data_dir) == pid
        assert server.url == url
    assert nobody_left(data_dir)


def test_after_a_kill_of_all_what_was_committed_is_there(data_dir: Path) -> None:
    with User(data_dir, "serve") as serve:
        query(serve.url(), "insert into kept select generate_series(1, 1000)")
        serve.kill()
        os.kill(postmaster(data_dir), signal.SIGKILL)
    with EmbeddedServer(data_dir, exclusive=True) as server:
        assert query(server.url, "select count(*) from kept") == 1000
    assert "automatic recovery in progress" in (data_dir / "postgres.log").read_text()


def test_ensure_running_restarts_a_killed_postgres_and_only_that(data_dir: Path) -> None:
    with EmbeddedServer(data_dir, exclusive=True) as server:
        url = server.url
        assert not server.ensure_running()
        os.kill(postmaster(data_dir), signal.SIGKILL)
        assert until(server.ensure_running)
        assert server.url == url
        assert query(url, "select 1") == 1
        assert not server.ensure_running()
    with pytest.raises(EmbeddedError, match="call start"):
        server.ensure_running()
    assert nobody_left(data_dir)


def test_a_query_that_outlives_a_killed_postgres_does_not_keep_it_down(data_dir: Path) -> None:
    """The query computes for days without waiting, so it does not see its postmaster die."""
    endless = "select sum(sqrt(a + b)) from generate_series(1, 1e6) a, generate_series(1, 1e6) b"
    title = Cluster(data_dir)._cluster_name.encode()
    with (
        EmbeddedServer(data_dir, start_timeout_seconds=20) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(query, server.url, endless)
        until(lambda: any(b"SELECT" in command_line(pid) for pid in running(title)))
        os.kill(postmaster(data_dir), signal.SIGKILL)
        try:
            assert until(server.ensure_running)
            assert isinstance(answer.exception(), asyncpg.PostgresError | OSError)
            assert query(server.url, "select 1") == 1
        finally:
            if not answer.done():
                for pid in running(title):
                    os.kill(pid, signal.SIGKILL)


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_smart_shutdown_that_waits_for_our_sessions_is_cut_short(data_dir: Path) -> None:
    with (
        EmbeddedServer(data_dir, start_timeout_seconds=20) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(query, server.url, "select pg_sleep(30)")
        until(
            lambda: query(
                server.url, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
            )
        )
        os.kill(postmaster(data_dir), signal.SIGTERM)
        assert until(server.ensure_running)
        assert answer.exception() is not None
        assert query(server.url, "select 1") == 1


@pytest.mark.parametrize("left", ["{pid}", "", "garbage\n"], ids=["reused", "empty", "torn"])
def test_a_stale_postmaster_pid_misleads_nobody(data_dir: Path, left: str) -> None:
    """A foreign process that has the pid now is left alone, also by the stop."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as stranger:
        server = EmbeddedServer(data_dir)
        server.start()
        pid_file = data_dir / "postgres/postmaster.pid"
        socket_lock = data_dir / "socket/.s.PGSQL.5432.lock"
        lines = [f"{stranger.pid}\n", *pid_file.read_text().splitlines(keepends=True)[1:]]
        os.kill(postmaster(data_dir), signal.SIGKILL)
        until(lambda: nobody_left(data_dir))
        pid_file.write_text("".join(lines) if left == "{pid}" else left)
        socket_lock.write_text("".join(lines[:5]))
        assert server.ensure_running()
        assert query(server.url, "select 1") == 1
        server.stop()
        assert nobody_left(data_dir)
        assert stranger.poll() is None
        stranger.kill()


def test_a_postgres_started_by_hand_is_left_alone(data_dir: Path) -> None:
    postgres = [program("postgres"), "-D", ".", "-c", "listen_addresses="]
    postgres += ["-c", f"unix_socket_directories={data_dir}"]
    if os.geteuid() == 0:
        ids = str(NOBODY.pw_uid), str(NOBODY.pw_gid)
        postgres = [sys.executable, str(LAUNCHER), "user_namespace", *ids, "wait", *postgres]
    log = (data_dir / "by_hand.log").open("w")
    with log, subprocess.Popen(postgres, cwd=data_dir / "postgres", stderr=log) as by_hand:
        until(lambda: "ready" in (data_dir / "by_hand.log").read_text())
        told = (data_dir / "postgres/postmaster.pid").read_text()
        with pytest.raises(EmbeddedError, match=f"kill -INT {by_hand.pid}"):
            EmbeddedServer(data_dir).start()
        assert (data_dir / "postgres/postmaster.pid").read_text() == told
        by_hand.send_signal(signal.SIGINT)
    with EmbeddedServer(data_dir):
        pass


def test_ctrl_c_does_not_reach_postgres_before_the_application_is_done(data_dir: Path) -> None:
    with User(data_dir, "serve") as serve:
        serve.url()
        assert os.getpgid(serve.process.pid) == serve.process.pid
        assert os.getpgid(postmaster(data_dir)) != serve.process.pid
        os.killpg(serve.process.pid, signal.SIGINT)
        assert serve.hear() == "interrupted, restarted False"
        assert serve.hear() == "stopped"
        assert nobody_left(data_dir)


def test_processes_that_start_at_the_same_moment_share_one_postgres(new_dir: Path) -> None:
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(User(new_dir)) for _ in range(4)]
        urls = {user.url() for user in users}
        assert len(urls) == 1
        assert query(urls.pop(), "select 1") == 1
        started = (new_dir / "postgres.log").read_text().count("starting PostgreSQL")
        assert started == 1
        for user in users:
            user.leave()
        assert nobody_left(new_dir)


def test_who_comes_while_the_last_user_stops_postgres_gets_a_new_one(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, newcomer = EmbeddedServer(data_dir), EmbeddedServer(data_dir)
    shut_down = last._cluster.shut_down
    with ThreadPoolExecutor(1) as pool:
        start: Future[None] | None = None

        def shut_down_meanwhile(deadline: float) -> None:
            nonlocal start
            start = pool.submit(newcomer.start)
            with pytest.raises(TimeoutError):  # joining would take a tenth of that time
                start.result(0.2)
            shut_down(deadline)

        monkeypatch.setattr(last._cluster, "shut_down", shut_down_meanwhile)
        last.start()
        pid = postmaster(data_dir)
        last.stop()
        assert start is not None
        start.result()
        assert postmaster(data_dir) != pid
        assert query(newcomer.url, "select 1") == 1
        newcomer.stop()


def test_users_that_come_and_go_always_find_postgres_and_leave_none(data_dir: Path) -> None:
    def come_and_go(_: int) -> None:
        for _ in range(4):
            with EmbeddedServer(data_dir) as server:
                assert query(server.url, "select 1") == 1
                assert not server.ensure_running()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(come_and_go, range(3)))
    assert nobody_left(data_dir)


@pytest.mark.parametrize(
    ("moment", "whom"),
    [
        ("postgres.new", "caller"),
        ("postgres.new/PG_VERSION", "all"),
        ("postgres.new/base/1/PG_VERSION", "caller"),
        ("postgres.new/base/5/PG_VERSION", "all"),
        ("postgres", "caller"),
    ],
)
def test_a_kill_in_the_first_start_leaves_nothing_broken(
    new_dir: Path, moment: str, whom: str
) -> None:
    new = new_dir / "postgres.new"
    with User(new_dir, "serve") as serve:
        until((new_dir / moment).exists)
        serve.kill()
        if whom == "all":
            for pid in running(os.fsencode(new)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    with EmbeddedServer(new_dir, exclusive=True) as server:
        assert query(server.url, "select 1") == 1
        assert not new.exists()


@pytest.mark.parametrize(
    "name",
    ["a" * 120, "a,b", 'a"b', "50% of 'ä & ö' + \\n #?=@:x"],
    ids=["long", "comma", "quote", "odd"],
)
def test_any_path_has_a_url_that_asyncpg_understands(made: Path, tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / name
    shutil.copytree(made, data_dir)
    with EmbeddedServer(data_dir) as server, EmbeddedServer(data_dir) as joined:
        assert query(server.url, "show data_directory") == str(data_dir / "postgres")
        assert joined.url == server.url
        socket_dir = Path(str(query(server.url, "show unix_socket_directories")))
        assert mode(socket_dir) == 0o700
    assert socket_dir.parent == data_dir or not socket_dir.exists()


def test_a_squatted_socket_directory_is_not_used(made: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / ("a" * 120)
    shutil.copytree(made, data_dir)
    squatted = Path("/tmp", Cluster(data_dir)._cluster_name)
    squatted.mkdir(mode=0o755)
    try:
        with EmbeddedServer(data_dir) as server:
            assert query(server.url, "show unix_socket_directories") != str(squatted)
        assert list(squatted.iterdir()) == []
    finally:
        squatted.rmdir()


def test_environment_neither_misleads_nor_leaks(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere", "PGDATA": "/", "PGUSER": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DEVTELEMETRY_TOKEN", "secret")
    with EmbeddedServer(data_dir) as server:
        assert query(server.url, "select 1") == 1
        assert b"secret" not in Path(f"/proc/{postmaster(data_dir)}/environ").read_bytes()


def test_a_setting_of_the_operator_wins_and_stays(data_dir: Path) -> None:
    conf = data_dir / "postgres/postgresql.conf"
    conf.write_text(text := conf.read_text() + "work_mem = 7MB\nmax_wal_size = 3GB\n")
    with EmbeddedServer(data_dir) as server:
        assert query(server.url, "show work_mem") == "7MB"
        assert query(server.url, "show max_wal_size") == "3GB"
    assert conf.read_text() == text


def test_a_mistake_of_the_operator_is_named_in_one_line(data_dir: Path) -> None:
    with (data_dir / "postgres/postgresql.conf").open("a") as conf:
        conf.write("shared_bufers = 1GB\n")
    (data_dir / "postgres.log").write_text("FATAL:  of last week\n")
    with pytest.raises(EmbeddedError, match="shared_bufers") as refusal:
        EmbeddedServer(data_dir).start()
    assert "\n" not in str(refusal.value)
    assert str(data_dir / "postgres.log") in str(refusal.value)
    assert "last week" not in str(refusal.value)
    assert nobody_left(data_dir)


def test_a_directory_of_another_major_version_is_refused_with_its_version(data_dir: Path) -> None:
    (data_dir / "postgres/PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 15, but this program comes with"):
        EmbeddedServer(data_dir).start()


def test_a_directory_of_something_else_is_not_touched(new_dir: Path) -> None:
    (new_dir / "postgres").mkdir(parents=True)
    (new_dir / "postgres/letter").write_text("dear")
    with pytest.raises(EmbeddedError, match="move it away"):
        EmbeddedServer(new_dir).start()
    assert [path.name for path in (new_dir / "postgres").iterdir()] == ["letter"]


def test_a_data_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match=r"cannot use the data directory .*file"):
        EmbeddedServer(tmp_path / "file").start()


def test_a_full_disk_is_named_and_breaks_nothing(tmp_path: Path) -> None:
    """A file system of 20 MB is in a mount namespace that ends with its last process."""
    mount = f"mount -t tmpfs -o size=20m tmpfs {tmp_path}"
    unshare = ["unshare", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*unshare, mount], check=False).returncode:
        pytest.skip("no mount namespace to be had")
    with User(tmp_path / "data", "serve", *unshare, f'{mount} && exec "$@"', "sh") as serve:
        refusal = serve.hear()
    assert refusal.startswith("refused EmbeddedError cannot make a database")
    assert "was full" in refusal


def test_a_postgres_that_does_not_answer_in_time_is_left_to_go_on(data_dir: Path) -> None:
    with EmbeddedServer(data_dir) as server:
        pid = postmaster(data_dir)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(EmbeddedError, match="not ready in time"):
                EmbeddedServer(data_dir, start_timeout_seconds=0.1).start()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert query(server.url, "select 1") == 1
        assert postmaster(data_dir) == pid


def test_who_waits_in_vain_for_another_start_or_stop_is_told_so(data_dir: Path) -> None:
    with (data_dir / "control.lock").open() as control:
        fcntl.flock(control, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedError, match="another process is still starting or stopping"):
            EmbeddedServer(data_dir, start_timeout_seconds=0.1).start()


def test_the_log_is_bounded_while_postgres_runs(data_dir: Path) -> None:
    log = data_dir / "postgres.log"
    with EmbeddedServer(data_dir) as server:
        with log.open("a") as file:
            file.write("x" * 10 * 2**20)
        server.ensure_running()
        assert log.stat().st_size == 0
        assert (data_dir / "postgres.log.1").stat().st_size > 10 * 2**20
    assert log.read_text().startswith("20")  # written from its new start, without a hole


def test_an_ordinary_user_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If root runs the test, a user namespace makes it an ordinary user that owns its files."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    prefix: list[str] = []
    if os.geteuid() == 0:
        ids = str(NOBODY.pw_uid), str(NOBODY.pw_gid)
        prefix = [sys.executable, str(LAUNCHER), "user_namespace", *ids, "wait"]
        if subprocess.run(prefix, check=False).returncode:
            pytest.skip("no user namespace to be had")
    with User("", "serve", *prefix) as serve:
        assert query(serve.url(), "select 1") == 1
        assert (tmp_path / "devtelemetry/postgres/PG_VERSION").exists()
        serve.leave()


def test_default_data_dir_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_data_dir() == Path("/data/devtelemetry")
    for not_absolute in ("", "data"):
        monkeypatch.setenv("XDG_DATA_HOME", not_absolute)
        assert default_data_dir() == Path("/home/ada/.local/share/devtelemetry")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/devtelemetry")


@pytest.fixture
def no_user_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No user namespaces, as in most containers."""
    everything = identity._identities_for_root

    def accounts() -> Iterator[identity.Identity]:
        return (candidate for candidate in everything() if candidate.how == "account")

    monkeypatch.setattr(identity, "_identities_for_root", accounts)


@as_root
def test_root_in_a_user_namespace_opens_nothing_up(open_dir: Path) -> None:
    if subprocess.run(
        [sys.executable, LAUNCHER, "user_namespace", "1", "1", "wait"], check=False
    ).returncode:
        pytest.skip("no user namespace to be had")
    with EmbeddedServer(open_dir / "data") as server:
        namespace = Path(f"/proc/{postmaster(open_dir / 'data')}/ns/user").readlink()
        assert namespace != Path("/proc/self/ns/user").readlink()
        assert query(server.url, "select 1") == 1
        owners = {path.lstat().st_uid for path in open_dir.rglob("*")}
        assert owners == {0}
        assert [mode(open_dir), mode(open_dir / "data")] == [0o700, 0o700]


@as_root
@pytest.mark.usefixtures("no_user_namespaces")
def test_root_without_user_namespaces_uses_an_account_and_says_what_it_opens(
    open_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data_dir = open_dir / "data"
    with caplog.at_level(logging.WARNING), EmbeddedServer(data_dir) as server:
        owner = (data_dir / "postgres").stat().st_uid
        assert owner in {pwd.getpwnam(name).pw_uid for name in account_names()}
        assert Path(f"/proc/{postmaster(data_dir)}").stat().st_uid == owner
        assert query(server.url, "select 1") == 1
        assert [mode(data_dir), mode(open_dir)] == [0o701, 0o701]
        assert [mode(data_dir / "socket"), mode(data_dir / "postgres")] == [0o700, 0o700]
        assert f"chmod o+x {open_dir}:" in caplog.text
        os.kill(postmaster(data_dir), signal.SIGKILL)
        assert until(server.ensure_running)
    assert nobody_left(data_dir)


def account_names() -> set[str]:
    return {"postgres", "nobody"} & {entry.pw_name for entry in pwd.getpwall()}


@as_root
def test_root_s_database_goes_where_user_namespaces_are_forbidden_and_back(
    open_dir: Path, request: pytest.FixtureRequest, made: Path
) -> None:
    data_dir = open_dir / "data"
    shutil.copytree(made, data_dir)
    assert (data_dir / "postgres").stat().st_uid == 0
    request.getfixturevalue("no_user_namespaces")
    with EmbeddedServer(data_dir) as server:
        query(server.url, "insert into kept values (1)")
        owner = (data_dir / "postgres").stat().st_uid
        assert owner != 0
    request.getfixturevalue("monkeypatch").undo()
    with EmbeddedServer(data_dir) as server:
        assert query(server.url, "select count(*) from kept") == 1
        assert {path.lstat().st_uid for path in (data_dir / "postgres").rglob("*")} == {owner}


@as_root
def test_a_user_s_directory_stays_the_user_s_when_root_uses_it(open_dir: Path) -> None:
    data_dir = open_dir / "data"
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, NOBODY.pw_uid, NOBODY.pw_gid)
    with EmbeddedServer(data_dir) as server:
        assert query(server.url, "select 1") == 1
        assert {path.lstat().st_uid for path in data_dir.rglob("*")} == {NOBODY.pw_uid}


@as_root
def test_root_that_cannot_be_anybody_else_is_told_so(
    open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Iterator[identity.Identity]:
        return iter(())

    monkeypatch.setattr(identity, "_identities_for_root", none)
    with pytest.raises(EmbeddedError, match="start devtelemetry as an ordinary user"):
        EmbeddedServer(open_dir / "data").start()
