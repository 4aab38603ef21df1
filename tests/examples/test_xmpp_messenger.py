"""The example for XMPP, as people run it: a real prosody, a real server, two people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ci import needs_package
from support.driven import until
from support.person import Person
from support.prosody import HOST, PASSWORD, ROOMS, Prosody
from support.server import ServerProcess, exported_samples

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
        try:
            for person in (ann, ben):
                person.wait_for(f"you are in: {ROOM}")
            ann.type("before", "ann: before")
            for person in (ann, ben):
                person.type("/telemetry on", "telemetry is on")
            ann.type("hello", "ann: hello")
            ben.wait_for("ann: hello")
            ben.type("hi", "ben: hi")
            ann.wait_for("ben: hi")
            until(lambda: ann.shows('"message_id": "ann/'))
        finally:
            ann.end()
            ben.end()
    said = [(line["channelId"], line.get("sentByReceiver")) for line in exported_samples(server)]
    assert sorted(said, key=str) == [(ROOM, None)] * 2 + [(ROOM, True)] * 2


def test_the_example_has_less_than_60_lines_of_its_own() -> None:
    lines = PROGRAM.read_text(encoding="utf-8").partition("\nclass ")[2].splitlines()
    assert len([line for line in lines if line.strip()]) < 60
