"""The opt-in: off by default, dated, shared by processes; an opt-out leaves nothing."""

import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devtelemetry.client import (
    BadSetting,
    Build,
    ClientError,
    NotOffered,
    Problem,
    Settings,
    Unwritable,
)
from devtelemetry.client.storage import transaction
from support.clients import Clock, eventually, receive, running_client, wall_clock
from support.push_server import push_server


def in_another_process(path: Path, statement: str) -> str:
    """What a statement about `settings` prints in another process."""
    script = f"from devtelemetry.client import Settings; settings = Settings({str(path)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", script + statement], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_telemetry_is_off_until_someone_opts_in(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    assert settings.telemetry_enabled is False
    assert settings.opted_in_at is None


def test_an_opt_in_has_a_date_and_stays(tmp_path: Path) -> None:
    clock = Clock()
    Settings(tmp_path / "node.db", clock=clock).enable()
    clock.now_ms += 1000
    again = Settings(tmp_path / "node.db", clock=clock)
    again.enable()
    assert again.telemetry_enabled is True
    assert again.opted_in_at == datetime(2026, 3, 2, 10, tzinfo=UTC)


def test_a_second_opt_in_has_another_identity(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    first = settings.status().installation_id
    settings.disable()
    assert settings.status().installation_id == ""
    settings.enable()
    assert len(first) == 32
    assert settings.status().installation_id not in ("", first)


def test_processes_see_each_others_changes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    settings = Settings(path)
    in_another_process(path, "settings.enable()")
    assert settings.telemetry_enabled
    assert settings.switch.consent == 1
    settings.server = "telemetry.example:50051"
    assert in_another_process(path, "print(settings.server)") == "telemetry.example:50051"
    in_another_process(path, "settings.disable()")
    assert not settings.telemetry_enabled
    assert settings.switch.consent == 0


def test_a_running_client_follows_a_switch_of_another_process(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    with push_server() as server, running_client(Settings(path), server.address) as client:
        receive(client, "before", wall_clock())
        in_another_process(path, "settings.enable()")
        receive(client, "between", wall_clock() + 1000)
        server.wait(lambda: server.samples)
        in_another_process(path, "settings.disable()")
        receive(client, "after", wall_clock() + 1000)
        server.wait(lambda: server.pushed[-1].forget)
        assert server.message_ids == ["between"]


def test_a_release_build_does_not_offer_the_option(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db", build=Build.RELEASE)
    assert not settings.is_offered
    with pytest.raises(NotOffered, match="release build"):
        settings.enable()
    assert not settings.telemetry_enabled
    # It also binds a program that opens the file without naming a build, like the command line.
    with pytest.raises(NotOffered):
        Settings(tmp_path / "node.db").enable()


def test_a_release_build_ends_what_a_dev_build_began(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    Settings(path, build="dev").enable()
    settings = Settings(path, build="release")
    assert not settings.telemetry_enabled
    assert settings.switch.consent == 0
    assert not Settings(path, build="dev").telemetry_enabled


def test_an_opt_out_leaves_nothing_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    settings = Settings(path)
    settings.enable()
    # Nobody answers, so all samples wait.
    with running_client(settings, "127.0.0.1:1") as client:
        for number in range(1000):
            receive(client, f"0xmessage{number}", wall_clock(), "a-channel-of-mine")
        client.channel_joined("a-channel-of-mine")
        eventually(lambda: settings.status().problem is Problem.UNREACHABLE)
        assert settings.status().waiting == 1000
        secrets = [b"0xmessage", b"a-channel-of-mine", settings.status().installation_id.encode()]
        on_disk = contents(tmp_path)
        assert all(secret in on_disk for secret in secrets)
        settings.disable()
        # A push without an answer may have arrived, so its server must be asked to forget. The
        # installation id is kept only for that.
        assert settings.status().leaving == 1
    on_disk = contents(tmp_path)
    assert [secret in on_disk for secret in secrets] == [False, False, True]
    assert path.stat().st_size < 100_000


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def contents(directory: Path) -> bytes:
    """All files' bytes. Another process reads them: closing a file here would drop our locks."""
    return subprocess.run(["cat", *files(directory)], capture_output=True, check=True).stdout


def test_who_never_sent_anything_has_nobody_to_tell(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    settings.disable()
    assert settings.status().leaving == 0


def test_an_opt_out_that_was_cut_short_is_ended_by_the_next_to_open(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    settings.switch.consent = 0  # disable() got this far
    assert not Settings(tmp_path / "node.db").telemetry_enabled
    assert not settings.telemetry_enabled


def test_an_opt_in_that_was_cut_short_is_none(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.switch.consent = 1  # enable() set it, but did not commit its transaction
    assert Settings(tmp_path / "node.db").switch.consent == 0
    assert settings.switch.consent == 0


def test_an_opt_in_survives_the_loss_of_what_lies_beside_the_file(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    for file in settings.storage.directory.iterdir():
        file.unlink()
    again = Settings(tmp_path / "node.db")
    assert again.telemetry_enabled
    assert again.switch.consent == 1


def test_an_opt_out_beside_a_reader_is_one_all_the_same(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    with settings.connected() as reader:
        reader.execute("begin")
        reader.execute("select * from telemetry_settings").fetchall()
        before = settings.switch.revision
        settings.disable()
    assert not settings.telemetry_enabled
    assert settings.switch.revision > before, "running clients were told"


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    assert stat.S_IMODE(settings.storage.directory.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(file.stat().st_mode) for file in files(tmp_path)}
    assert modes == {0o600}


@pytest.mark.parametrize(
    "server", ["example", "example:0", "example:65536", "a b:1", "http://example:1", ":1", "::1:1"]
)
def test_a_server_that_is_no_address_is_refused(tmp_path: Path, server: str) -> None:
    settings = Settings(tmp_path / "node.db")
    with pytest.raises(BadSetting, match="HOST:PORT"):
        settings.server = server
    assert settings.server == ""


@pytest.mark.parametrize("server", ["example:1", "127.0.0.1:50051", "[::1]:50051", ""])
def test_a_server_that_is_one_is_kept(tmp_path: Path, server: str) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.server = server
    assert settings.server == server


def test_a_token_with_a_line_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting):
        Settings(tmp_path / "node.db").token = "dt_a\r\n"


def test_a_file_that_is_no_settings_file_is_said_to_be_unreadable(tmp_path: Path) -> None:
    (tmp_path / "node.db").write_bytes(b"not a database, and longer than its header" * 100)
    with pytest.raises(Unwritable, match=r"node\.db"):
        Settings(tmp_path / "node.db")
    with pytest.raises(ClientError):
        Settings(tmp_path / "missing" / "node.db")


def test_the_apps_own_tables_may_lie_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    with sqlite3.connect(path) as app:
        app.execute("create table settings (name text)")
        app.execute("insert into settings values ('theme')")
    settings = Settings(path)
    settings.enable()
    settings.disable()
    with settings.connected() as connection, transaction(connection):
        assert connection.execute("select name from settings").fetchone()[0] == "theme"
