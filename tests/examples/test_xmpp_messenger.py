"""The example for XMPP, run as people run it: two of them, a real prosody, a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ci import needs_package
from support.person import Person, own_lines, talk
from support.prosody import HOST, PASSWORD, ROOMS, Prosody
from support.server import ServerProcess

needs_package("slixmpp")
pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "examples" / "xmpp_messenger.py"
ROOM = f"room@{ROOMS}"


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as started:
        yield started


def test_two_people_talk_and_each_reports_once_opted_in(
    server: ServerProcess, tmp_path: Path
) -> None:
    with Prosody(tmp_path, ("ann", "ben")) as prosody:
        options = (ROOM, f"--plain={prosody.address}", f"--telemetry={server.grpc}")
        ann, ben = (
            Person(tmp_path, PROGRAM, f"{name}@{HOST}", *options, XMPP_PASSWORD=PASSWORD)
            for name in ("ann", "ben")
        )
        talk(server, ROOM, (ann, "ann"), (ben, "ben"), "ann/")


def test_the_example_has_less_than_60_lines_of_its_own() -> None:
    assert own_lines(PROGRAM) < 60
