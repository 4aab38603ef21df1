"""deploy/: container file, compose file, systemd unit. All that they name exists and fits."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml  # type: ignore[import-untyped]

from devtelemetry.model.errors import ConfigurationError
from devtelemetry.settings.names import ENVIRONMENT_PREFIX, environment_name
from devtelemetry.settings.settings import Settings
from support.ci import missing_part
from support.monitoring import DEPLOY, ROOT
from support.server import ServerProcess

CONTAINERFILE = DEPLOY / "Containerfile"
UNIT = DEPLOY / "devtelemetry.service"
KNOWN = {environment_name(name) for name in Settings.model_fields}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def instructions() -> list[tuple[str, str]]:
    """The instructions of the container file: name and arguments, continued lines joined."""
    text = re.sub(r"\\\n", " ", CONTAINERFILE.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def arguments(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


# ------------------------------------------------------------------------------ container file


def test_what_the_container_file_copies_exists_and_is_not_ignored() -> None:
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copied = [
        source
        for rest in arguments("COPY")
        if not rest.startswith("--from=")
        for source in rest.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
    assert set(copied) == allowed


def test_the_container_is_an_ordinary_users() -> None:
    (user,) = arguments("USER")
    assert re.fullmatch(r"([1-9]\d*):([1-9]\d*)", user)
    assert f"--uid {user.partition(':')[0]} " in " ".join(arguments("RUN"))
    names = [name for name, _ in instructions()]
    assert "RUN" not in names[names.index("USER") :]


def test_the_container_installs_what_is_pinned_and_keeps_nothing_that_only_builds() -> None:
    runs = arguments("RUN")
    (installs,) = [run for run in runs if "--requirement" in run]
    assert "--require-hashes --requirement requirements/server.txt" in installs
    removed = {
        word
        for run in runs
        for part in run.split("&&")
        if "pip uninstall" in part
        for word in part.split()[2:]
        if not word.startswith("-")
    }
    assert removed == {*only_for_building(), "pip", "setuptools", "wheel"}


def only_for_building() -> set[str]:
    """The packages that the lock file has only for requirements/build.in."""
    why: dict[str, set[str]] = {}
    current = ""
    for line in (ROOT / "requirements" / "server.txt").read_text(encoding="utf-8").splitlines():
        if pinned := re.match(r"([\w.-]+)(\[[\w,]+\])?==", line):
            current = pinned[1]
            why[current] = set()
        elif said := re.match(r" {4}#(?: via|  )(?: (.+))?$", line):
            why[current] |= {said[1].strip()} if said[1] else set()
    building = {name for name, of in why.items() if of == {"-r requirements/build.in"}}
    assert "hatchling" in building
    while more := {name for name, of in why.items() if of and of <= building} - building:
        building |= more
    return building


def test_the_containers_python_is_one_that_the_project_takes() -> None:
    bases = {rest.split()[0] for rest in arguments("FROM")}
    (base,) = bases
    version = re.search(r"/python:(\d\.\d+)-slim-bookworm$", base)
    assert version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={version[1]}"


def test_the_container_names_only_settings_that_exist() -> None:
    named = set(re.findall(rf"{ENVIRONMENT_PREFIX}\w+", " ".join(arguments("ENV"))))
    assert named
    assert named <= KNOWN
    assert arguments("ENTRYPOINT") == ['["devtelemetry"]']
    assert arguments("CMD") == ['["serve"]']
    ports = {
        str(Settings.model_fields[name].get_default().port)
        for name in ("grpc_listen", "http_listen")
    }
    assert set(" ".join(arguments("EXPOSE")).split()) == ports
    (health,) = arguments("HEALTHCHECK")
    assert "/opt/devtelemetry/healthcheck.py" in health


# --------------------------------------------------------------------------------- health check


def check_health(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, DEPLOY / "healthcheck.py"],
        env={"PATH": os.environ["PATH"], "http_proxy": "http://127.0.0.1:9", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_health_check_tells_a_server_that_is_ready_from_none(
    tmp_path: Path, database_url: str
) -> None:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as server:
        port = server.http.rpartition(":")[2]
        for host in ("127.0.0.1", "0.0.0.0"):
            done = check_health({"DEVTELEMETRY_HTTP_LISTEN": f"{host}:{port}"})
            assert done.returncode == 0, done.stderr
    done = check_health({"DEVTELEMETRY_HTTP_LISTEN": f"127.0.0.1:{port}"})
    assert done.returncode == 1
    assert "refused" in done.stderr


@pytest.mark.slow
def test_the_health_check_speaks_tls_where_the_server_does(
    tmp_path: Path, database_url: str
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("telemetry.example")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    tls = {"DEVTELEMETRY_TLS_CERT": str(certificate), "DEVTELEMETRY_TLS_KEY": str(key)}
    where = f"--database={database_url}"
    with ServerProcess(tmp_path / "data", where, environment=tls) as server:
        done = check_health({**tls, "DEVTELEMETRY_HTTP_LISTEN": server.http})
        assert done.returncode == 0, done.stderr
        assert check_health({"DEVTELEMETRY_HTTP_LISTEN": server.http}).returncode == 1


# -------------------------------------------------------------------------------------- compose


def test_compose_listens_on_loopback_only() -> None:
    ports = [
        port for service in compose()["services"].values() for port in service.get("ports", [])
    ]
    assert len(ports) >= 4
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)


def test_compose_pins_every_image_and_watches_every_service() -> None:
    for name, service in compose()["services"].items():
        if "build" in service:
            build = service["build"]
            context = (DEPLOY / build["context"]).resolve()
            assert context == ROOT
            assert context / build["dockerfile"] == CONTAINERFILE, "whose health check it is"
        else:
            assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", service["image"]), name
            assert service["healthcheck"]["test"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        for other in service.get("depends_on", {}):
            assert other in compose()["services"]


def test_what_compose_names_exists() -> None:
    loaded = compose()
    for name, service in loaded["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), f"{name}: {source}"
                assert volume.endswith(":ro"), volume
            else:
                assert source in loaded["volumes"], f"{name}: {source}"
        assert set(service.get("secrets", [])) <= loaded["secrets"].keys()
        assert set(service["networks"]) <= loaded["networks"].keys()
        # The environment names the file of a secret, and never has the secret itself.
        for key, value in service.get("environment", {}).items():
            for secret in re.findall(r"/run/secrets/([\w.]+)", value):
                assert secret in service["secrets"], key
            assert "PASSWORD" not in key or value.startswith("/run/secrets/"), key


def test_the_settings_of_compose_are_settings_and_go_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = compose()["services"]["server"]["environment"]
    assert environment.keys() <= KNOWN
    made = secrets_made(tmp_path)
    for key, value in environment.items():
        assert isinstance(value, str), f"{key}: YAML would make something else of it"
        monkeypatch.setenv(key, value.replace("/run/secrets/", f"{made}/"))
    settings = Settings()
    assert settings.database_url is not None
    password = (made / "postgres_password").read_text(encoding="utf-8")
    assert settings.database_url.startswith(f"postgresql://devtelemetry:{password}@postgres:")
    # A server beyond loopback must require tokens.
    assert settings.insecure
    assert settings.require_tokens
    assert settings.remote_write_url is not None
    assert "--web.enable-remote-write-receiver" in compose()["services"]["prometheus"]["command"]


def secrets_made(tmp_path: Path) -> Path:
    shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    subprocess.run(["sh", tmp_path / "secrets.sh"], check=True, capture_output=True)
    return tmp_path / "secrets"


def test_secrets_are_made_once_in_a_closed_directory(tmp_path: Path) -> None:
    made = secrets_made(tmp_path)
    before = {path.name: path.read_text(encoding="utf-8") for path in made.iterdir()}
    assert before.keys() == compose()["secrets"].keys()
    assert {f"./secrets/{name}" for name in before} == {
        secret["file"] for secret in compose()["secrets"].values()
    }
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert re.fullmatch("[0-9a-f]{48}", before["postgres_password"])
    assert before["postgres_password"] != before["grafana_password"]
    secrets_made(tmp_path)
    assert {path.name: path.read_text(encoding="utf-8") for path in made.iterdir()} == before
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "deploy/secrets/" in ignored


# -------------------------------------------------------------------------------------- systemd


def systemd_analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        missing_part("no systemd-analyze (Debian: apt-get install systemd)")
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    command = re.search(r"^ExecStart=(\S+) serve$", text, re.MULTILINE)
    assert command
    # The program need not be installed on this machine.
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(command[1], sys.executable), encoding="utf-8")
    done = systemd_analyze("verify", "--man=no", unit)
    assert done.returncode == 0
    assert UNIT.name not in done.stdout + done.stderr, "it warns of a line"


def test_a_wrong_line_in_the_unit_would_be_seen(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    unit.write_text(text.replace("ProtectHome=", "ProtectHouse="), encoding="utf-8")
    done = systemd_analyze("verify", "--man=no", unit)
    assert "ProtectHouse" in done.stdout + done.stderr


def test_the_unit_gives_the_server_little(tmp_path: Path) -> None:
    done = systemd_analyze("security", "--offline=yes", "--threshold=20", "--no-pager", UNIT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_names_only_settings_that_exist() -> None:
    text = UNIT.read_text(encoding="utf-8")
    named = set(re.findall(rf"{ENVIRONMENT_PREFIX}\w+", text))
    assert {"DEVTELEMETRY_CONFIG", "DEVTELEMETRY_DATA_DIR"} <= named <= KNOWN
    for key in re.findall(r"^# +(\w+) = ", text, re.MULTILINE):
        assert key in Settings.model_fields
    loaded = set(re.findall(r"^#?LoadCredential=([\w.]+):", text, re.MULTILINE))
    used = set(re.findall(r"(?:%d|/run/credentials/devtelemetry\.service)/([\w.]+)", text))
    assert used == loaded


def test_a_file_of_settings_as_the_pages_show_it_is_taken(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    files = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert files
    for number, text in enumerate(files):
        for name in re.findall(r'"(/[\w/.-]+\.pem)"', text):
            (tmp_path / Path(name).name).touch()
        path = tmp_path / f"{number}.toml"
        path.write_text(text, encoding="utf-8")
        settings = Settings(config=path)
        assert settings.database_url
    path.write_text("no_setting = 1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError):
        Settings(config=path)
