"""Odd machines: one line that a person can act on, never a traceback, never a secret."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from devtelemetry.model.errors import ConfigurationError
from devtelemetry.publish.remote_write import RemoteWrite
from devtelemetry.settings.names import misspelt_variables
from devtelemetry.settings.settings import Settings
from support.asked import until
from support.ports import free_port
from support.program import command
from support.server import ServerProcess

pytestmark = pytest.mark.slow

USELESS = "--data-dir=/dev/null/x"  # ends a command before it starts a database


def ran(
    *arguments: str,
    environment: Mapping[str, str | None] | None = None,
    prepare: Callable[[], None] | None = None,
    directory: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Runs the program in a process. environment: None removes a variable."""
    variables = {**os.environ, **(environment or {})}
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        check=False,
        env={name: value for name, value in variables.items() if value is not None},
        preexec_fn=prepare,
        cwd=directory,
        timeout=120,
    )


def line(done: subprocess.CompletedProcess[bytes]) -> str:
    """The one line of error with which it failed."""
    assert done.returncode in (1, 2), done
    (said,) = done.stderr.decode().splitlines()
    assert said.startswith("devtelemetry: ")
    assert "a fault in the program" not in said
    return said


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "--data-dir=~nosuch/x"),
        ("report", "--config=~nosuch/x"),
        ("serve", "--database=postgresql://h/n", "--tls-cert=~nosuch/x"),
    ],
    ids=str,
)
def test_the_home_of_an_account_that_there_is_not(arguments: tuple[str, ...]) -> None:
    assert "home directory" in line(ran(*arguments))
    variable = {"DEVTELEMETRY_DATA_DIR": "~nosuch/x"}
    assert "DEVTELEMETRY_DATA_DIR" in line(ran("report", environment=variable))


# The account is mocked: a real one without a name may not be able to read the interpreter.
AS_NOBODY = """
import os, sys, getpass, pwd
from unittest import mock
def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
with mock.patch("os.geteuid", lambda: 54321), mock.patch("pwd.getpwuid", nobody):
    from devtelemetry.__main__ import main
    sys.argv[0] = "devtelemetry"
    sys.exit(main())
"""
NOBODY = dict.fromkeys(("HOME", "USER", "LOGNAME", "USERNAME", "LNAME", "XDG_DATA_HOME", "PGUSER"))


def ran_as_nobody(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    variables = {name: value for name, value in os.environ.items() if name not in NOBODY}
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *arguments],
        capture_output=True,
        check=False,
        env=variables,
        timeout=120,
    )


def test_an_account_without_a_name_and_a_home() -> None:
    assert "--data-dir" in line(ran_as_nobody("report"))
    assert "names no user" in line(ran_as_nobody("report", "--database=postgresql://127.0.0.1/n"))
    # A URL with a user needs neither.
    told = line(ran_as_nobody("report", "--database=postgresql://me@127.0.0.1:1/n"))
    assert "cannot be reached" in told
    assert ran_as_nobody("settings").returncode == 0


def test_a_terminal_that_cannot_show_a_name(tmp_path: Path) -> None:
    for encoding in ("ascii", "latin-1"):
        variables = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        assert ran("settings", environment=variables).returncode == 0
        told = ran("report", "--data-dir=/dev/null/\u4fe1", environment=variables)
        assert b"\\u4fe1" in told.stderr


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_standard_files_that_are_closed(closed: tuple[int, ...], database_url: str) -> None:
    def close() -> None:
        for number in closed:
            os.close(number)

    where = f"--database={database_url}"
    for arguments in (("settings",), ("aggregate", where)):
        done = ran(*arguments, prepare=close)
        assert (done.returncode, done.stderr) == (0, b""), arguments
    done = ran("report", USELESS, prepare=close)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_a_server_whose_output_nobody_takes_serves(tmp_path: Path, database_url: str) -> None:
    http = f"127.0.0.1:{free_port()}"
    serve = command(
        "serve",
        f"--database={database_url}",
        "--grpc-listen=127.0.0.1:0",
        f"--http-listen={http}",
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["sh", "-c", 'exec "$@" >&-', "sh", *serve], stderr=log)
    try:
        until(lambda: _is_alive(http))
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def _is_alive(http: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{http}/healthz", timeout=30) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_signal_in_the_first_second_ends_it_without_a_traceback(number: signal.Signals) -> None:
    for wait in (0.05, 0.15, 0.3, 0.6):
        process = subprocess.Popen(command("serve", USELESS), stderr=subprocess.PIPE)
        time.sleep(wait)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
        # A signal this early may come before the interpreter has started.
        if process.returncode != -number and not any(
            early in told for early in (b"init_import_site", b"runpy module")
        ):
            assert b"Traceback" not in told, (wait, told)
            assert process.returncode in (0, 1, 130), (wait, told)


def test_the_first_process_of_a_container_hears_sigterm_before_it_listens() -> None:
    # Process 1 of a container gets no signal for which it has no handler.
    script = (
        "import signal, sys\n"
        "from devtelemetry.runtime.process import make_ready\n"
        "make_ready(status_of_sigterm=0)\n"
        "assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL\n"
        "signal.raise_signal(signal.SIGTERM)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_terminal_that_goes_away_stops_a_server_in_order(
    tmp_path: Path, database_url: str
) -> None:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as server:
        os.kill(server.pid, signal.SIGHUP)
        assert server.wait() == 0
        assert "stopping" in server.log_path.read_text()


def test_a_byte_order_mark_in_settings_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(b"\xef\xbb\xbfquorum = 2\n")
    assert Settings(config=str(file)).quorum == 2


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    assert "not in UTF-8" in line(ran("report", f"--data-dir={name}"))
    assert "cannot be read" in line(ran("report", f"--config={name}"))
    assert "cannot be read" in line(ran("import", name, USELESS))


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = ran("report", "--data-dir=here", directory=gone, prepare=gone.rmdir)
    assert "working directory" in line(done)
    gone.mkdir()
    assert ran("settings", directory=gone, prepare=gone.rmdir).returncode == 0


def test_a_variable_that_is_misspelt_is_named_and_its_value_is_not(database_url: str) -> None:
    misspelt = {"DEVTELEMETRY_DATABSE_URL": "s3cret", "DEVTELEMETRY_PORT": "tcp://10.0.0.1:80"}
    done = ran("aggregate", f"--database={database_url}", environment=misspelt)
    assert done.returncode == 0
    (told,) = done.stderr.decode().splitlines()
    assert "DEVTELEMETRY_DATABSE_URL is not a setting" in told
    assert "did you mean DEVTELEMETRY_DATABASE_URL" in told
    assert "s3cret" not in told


def test_what_is_no_setting_and_near_none_is_left_alone() -> None:
    others = ("DEVTELEMETRY_SERVICE_HOST", "DEVTELEMETRY_PORT_80_TCP_ADDR", "DEVTELEMETRY_QUORUM")
    assert not list(misspelt_variables(others, Settings.model_fields))


PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def store_beside(monkeypatch: pytest.MonkeyPatch, **variables: str) -> RemoteWrite:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return RemoteWrite("http://192.0.2.1:9090/api/v1/write")


@pytest.mark.parametrize(
    "variables",
    [
        {"ALL_PROXY": "socks5://me:s3cret@127.0.0.1:1"},
        {"ALL_PROXY": "gopher://me:s3cret@127.0.0.1:1"},
        {"HTTP_PROXY": "http://me:s3cret@127.0.0.1:port"},
        {"HTTP_PROXY": "http://me:s3cret@127.0.0.1:1", "NO_PROXY": "[::1]"},
    ],
    ids=str,
)
def test_a_proxy_that_cannot_be_used_is_one_line_without_its_login(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="NO_PROXY") as caught:
        store_beside(monkeypatch, **variables)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("hosts", ["::1", "fe80::1,localhost,10.0.0.0/8", "*", ".local"])
def test_hosts_that_need_no_proxy(hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store_beside(monkeypatch, HTTP_PROXY="http://127.0.0.1:1", NO_PROXY=hosts)


def test_all_lines_are_json_if_that_is_asked_for(tmp_path: Path, database_url: str) -> None:
    wrong = ("--quorum=none", "--database=postgresql://127.0.0.1:1/n", "--nosuch")
    for one in wrong:
        done = ran("serve", one, "--log-format=json")
        assert done.returncode in (1, 2)
        (said,) = map(json.loads, done.stderr.splitlines())
        assert said["level"] == "error"
    done = ran("serve", wrong[0], environment={"DEVTELEMETRY_LOG_FORMAT": "json"})
    assert json.loads(done.stderr)["event"].startswith("--quorum: ")
    options = ("--log-format=json", "--log-level=debug", "--workers=2")
    variables = {"DEVTELEMETRY_LOG_LEVL": "x", "PYTHONWARNINGS": "always"}
    with ServerProcess(
        tmp_path / "data", f"--database={database_url}", *options, environment=variables
    ) as server:
        pass
    lines = server.log_path.read_text().splitlines()
    assert {"event", "level", "logger", "timestamp"} <= json.loads(lines[0]).keys()
    assert all(isinstance(json.loads(one), dict) for one in lines)
