"""The example for Matrix, run as people run it: two of them, a real Synapse, a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ci import needs_package
from support.person import Person, own_lines, talk
from support.server import ServerProcess
from support.synapse import PASSWORD, Synapse

needs_package("nio")
pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "examples" / "matrix_messenger.py"


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as started:
        yield started


def test_two_people_talk_and_each_reports_once_opted_in(
    server: ServerProcess, tmp_path: Path
) -> None:
    with Synapse(tmp_path) as synapse:
        ann_id, ben_id = (synapse.register(name)["user_id"] for name in ("ann", "ben"))
        token = synapse.login("ann")["access_token"]
        room = synapse.create_room(token, is_encrypted=False)
        ann, ben = (
            Person(
                tmp_path,
                PROGRAM,
                synapse.url,
                user_id,
                room,
                f"--telemetry={server.grpc}",
                MATRIX_PASSWORD=PASSWORD,
            )
            for user_id in (ann_id, ben_id)
        )
        talk(server, room, (ann, ann_id), (ben, ben_id), "$")


def test_the_example_has_less_than_60_lines_of_its_own() -> None:
    assert own_lines(PROGRAM) < 60
