"""The program as a whole: its help, its settings, its errors, what it loads."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from devtelemetry import __version__
from devtelemetry.cli.commands.serve import serve, shared_metrics
from devtelemetry.cli.options import option_of
from devtelemetry.cli.work import report as report_work
from devtelemetry.runtime import metrics
from devtelemetry.settings.names import option_name
from devtelemetry.settings.settings import Settings
from devtelemetry.settings.table import default_text, description, settings_table
from support.program import Done, Run
from support.program import run as run_process


def test_settings_prints_the_page_of_settings(plain_run: Run) -> None:
    assert plain_run("settings") == Done(0, settings_table(), "")


def test_version_is_that_of_the_package(plain_run: Run) -> None:
    assert plain_run("--version") == Done(0, f"devtelemetry {__version__}\n", "")


@pytest.mark.parametrize(
    "name", ["serve", "import", "export", "aggregate", "report", "clean", "forget"]
)
def test_every_command_explains_itself_and_takes_the_common_settings(
    plain_run: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = plain_run(name, "--help")
    assert done.status == 0
    for option in ("--database", "--data-dir", "--config"):
        assert option in done.out


def test_options_say_of_a_setting_what_config_says(plain_run: Run) -> None:
    for name in Settings.model_fields:
        parameter = option_of(name)
        (option,) = parameter.annotation.__metadata__
        assert description(name).replace("`", "") in option.help
        assert default_text(name).replace("`", "") in option.help
        assert option.default.startswith(option_name(name))


def test_serve_takes_every_setting() -> None:
    assert set(inspect.signature(serve).parameters) == set(Settings.model_fields)


def test_the_processes_of_a_server_share_their_metrics_where_metrics_looks() -> None:
    with shared_metrics(2):
        assert Path(os.environ[metrics.SHARED_DIRECTORY]).is_dir()
    with shared_metrics(1):
        assert metrics.SHARED_DIRECTORY not in os.environ


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("report", "--data-dir"), 2),
        (("nonsense",), 2),
        (("import",), 2),
        (("report", "--by=weather"), 2),
        (("serve", "--nosuch"), 2),
        (("exclude", "0x04aa", "--to=/nowhere"), 2),
        (("aggregate", "--membership=most"), 2),
        (("report", "--database=mysql://host/name"), 2),
        (("report", "--config=/nowhere.toml"), 1),
        (("report", "--database=postgresql://nobody@127.0.0.1:1/nothing"), 1),
    ],
)
def test_usage_is_2_and_failure_is_1(
    plain_run: Run, arguments: tuple[str, ...], status: int
) -> None:
    done = plain_run(*arguments)
    assert (done.status, done.out) == (status, "")
    (line,) = done.err.splitlines()
    assert line.startswith("devtelemetry: ")
    assert "a fault in the program" not in line


def test_a_database_that_cannot_be_reached_is_one_line(plain_run: Run) -> None:
    done = plain_run("report", "--database=postgresql://nobody@127.0.0.1:1/nothing")
    assert done.err.startswith("devtelemetry: the database cannot be reached: ")
    assert done.err.count("\n") == 1


def test_a_bad_setting_of_the_environment_is_no_usage_error(
    plain_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVTELEMETRY_RETENTION", "soon")
    done = plain_run("report")
    assert done.status == 1
    assert done.err.startswith("devtelemetry: DEVTELEMETRY_RETENTION: 'soon' is not a duration; ")


def test_a_fault_in_the_program_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a\nfault")

    monkeypatch.setattr(report_work, "as_tables", broken)
    done = run("report")
    assert done.status == 1
    assert done.err.startswith("devtelemetry: a fault in the program: RuntimeError: a fault; ")
    assert done.err.count("\n") == 1


def test_without_the_server_it_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['typer'] = None; sys.argv = ['devtelemetry', 'report']; "
        "from devtelemetry.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "devtelemetry: the server is not installed (no module typer): "
        "run pip install '.[server]' in a checkout of Dev-Telemetry\n"
    )


def test_help_loads_no_server() -> None:
    code = (
        "import sys\n"
        "from devtelemetry.cli.program import run\n"
        "for words in ([], ['serve'], ['import'], ['publish'], ['simulate'], ['token', 'list'],\n"
        "              ['report'], ['report', 'missing', '--channel=x']):\n"
        "    sys.argv = ['devtelemetry', *words, '--help']\n"
        "    assert run() == 0\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {"asyncpg", "fastapi", "grpc", "alembic", "sqlalchemy", "uvicorn", "prometheus_client"}
    assert "devtelemetry.cli.commands.report" in loaded
    assert heavy & loaded == set()


def test_logs_go_to_stderr_and_as_json_where_asked(tmp_path: Path) -> None:
    at = f"--data-dir={tmp_path / 'data'}"
    done = run_process("report", at, "--log-level=info", "--log-format=json")
    assert done.returncode == 0
    assert "There are no samples yet." in done.stdout
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert records
    assert all({"event", "level", "timestamp"} <= record.keys() for record in records)
    assert run_process("report", at).stderr == ""
