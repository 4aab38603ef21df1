"""The installed package, and what importing it loads."""

import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import devtelemetry

ROOT = Path(__file__).parent.parent
CLIENT_DEPENDENCIES = {"grpcio", "protobuf"}


def test_an_app_that_embeds_the_client_gets_grpcio_and_protobuf_and_nothing_more() -> None:
    requirements = [Requirement(text) for text in metadata.requires("devtelemetry") or ()]
    plain = {r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})}
    assert plain == CLIENT_DEPENDENCIES


def test_the_client_can_be_imported_without_the_servers_dependencies() -> None:
    server_only = {
        Requirement(text).name.replace("-", "_")
        for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
            "optional-dependencies"
        ]["server"]
    }
    script = (
        "import sys, devtelemetry.client, devtelemetry.client.cli\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not server_only & set(done.stdout.split())


def test_the_client_imports_nothing_of_the_servers_rooms() -> None:
    script = (
        "import sys, devtelemetry.client, devtelemetry.client.cli\n"
        "print(*sorted(name for name in sys.modules if name.startswith('devtelemetry')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    rooms = {name.split(".")[1] for name in done.stdout.split() if "." in name}
    assert rooms == {"client", "v1"}


def test_the_version_is_said_once() -> None:
    assert metadata.version("devtelemetry") == devtelemetry.__version__


def test_the_package_holds_the_files_that_the_code_reads() -> None:
    store = resources.files("devtelemetry.store")
    assert store.joinpath("schema", "samples.sql").is_file()
    assert store.joinpath("migrations", "env.py").is_file()
    assert resources.files("devtelemetry").joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", ["devtelemetry/v1/telemetry", "devtelemetry/publish/remote_write"])
def test_the_generated_code_is_that_of_the_proto(tmp_path: Path, name: str) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc")
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"--python_out={tmp_path}", f"{name}.proto"]
    assert protoc.main(arguments) == 0
    made = (tmp_path / f"{name}_pb2.py").read_text()
    assert made == (ROOT / "src" / f"{name}_pb2.py").read_text(), "run `make proto`"


def test_all_dependencies_are_pinned_with_hashes() -> None:
    for name in ("server.txt", "desktop.txt", "dev.txt"):
        lines = (ROOT / "requirements" / name).read_text().splitlines()
        pinned = [line for line in lines if line and not line.startswith((" ", "#"))]
        assert len(pinned) > 8
        assert all("==" in line and line.endswith("\\") for line in pinned)
