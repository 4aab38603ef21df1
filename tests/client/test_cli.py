"""`devtelemetry client` makes no files, and changes only settings files."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import devtelemetry
from devtelemetry.client import Settings
from devtelemetry.client.cli import run

_CLIENT_ALONE = """
import sys
sys.modules["typer"] = None
sys.argv = ["devtelemetry", *{arguments}]
from devtelemetry.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("command", ["status", "show", "enable", "disable"])
def test_a_file_that_is_not_there_is_said_to_be_missing(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--settings", str(tmp_path / "typo" / "typo.db")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "typo.db: there is no settings file here" in printed.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["status", "show", "enable", "disable"])
def test_a_file_of_somebody_elses_stays_as_it_is(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as other:
        other.execute("create table photo (name text)")
    other.close()
    before = path.read_bytes()
    assert run([command, "--settings", str(path)]) == 1
    assert "no settings file here" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["photos.db"]


def test_the_settings_may_be_named_before_the_command_or_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.db"
    settings = Settings(path)
    assert run(["--settings", str(path), "enable"]) == 0
    assert settings.telemetry_enabled
    assert run(["disable", "--settings", str(path)]) == 0
    assert not settings.telemetry_enabled
    assert "telemetry is off" in capsys.readouterr().out


def test_all_accounts_are_opted_out_unless_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.db"
    accounts = [Settings(path, account=name) for name in ("ann", "ben")]
    for settings in accounts:
        settings.enable()
    assert run(["disable", "--settings", str(path), "--account", "ann"]) == 0
    assert [settings.telemetry_enabled for settings in accounts] == [False, True]
    assert run(["disable", "--settings", str(path)]) == 0
    assert [settings.telemetry_enabled for settings in accounts] == [False, False]
    assert capsys.readouterr().out.count("telemetry is off") == 3
    assert run(["disable", "--settings", str(path), "--account", "anna"]) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--version"], 0, f"devtelemetry {devtelemetry.__version__}\n"),
        (["--help"], 0, "devtelemetry client status --settings FILE\n"),
        ([], 0, "pip install '.[server]'"),
        (["client", "--help"], 0, "--settings FILE"),
        (["serve"], 1, "the server is not installed"),
    ],
)
def test_it_works_where_the_client_alone_is_installed(
    arguments: list[str], status: int, told: str
) -> None:
    script = _CLIENT_ALONE.format(arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert told in (done.stderr if status else done.stdout)
