"""The module for slixmpp in real clients on a real prosody reports what their logs show."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cable import Cable
from support.ci import needs_package
from support.driven import Driven, measured, truth, until, written
from support.prosody import ROOMS, Prosody
from support.server import ServerProcess, exported_samples

needs_package("slixmpp")
pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[1] / "support" / "xmpp_node.py"
ROOM = f"room@{ROOMS}"
WHOLE_SECOND = 1.2  # between joining or leaving and a message: archives have whole seconds


@pytest.fixture
def prosody(tmp_path: Path) -> Iterator[Prosody]:
    with Prosody(tmp_path, ("ann", "ben", "cleo", "dan", "eve")) as started:
        yield started


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as started:
        yield started


def say(author: Driven, number: int) -> None:
    for _ in range(number):
        author.do("say", ROOM)


def test_the_pairs_are_those_of_the_clients_logs_and_the_archive(
    prosody: Prosody, server: ServerProcess, tmp_path: Path
) -> None:
    """It has kills with and without history, a cut connection, a leave, a restart, a second device
    and a wrong clock."""
    started_ms = time.time_ns() // 1_000_000
    with Cable(prosody.address) as cable:

        def node(name: str, user: str, address: str = prosody.address) -> Driven:
            port = int(address.rpartition(":")[2])
            return Driven(
                PROGRAM, tmp_path, name, user=user, nick=user, port=port, telemetry=server.grpc
            )

        ann, ann2, eve = node("ann", "ann"), node("ann2", "ann"), node("eve", "eve")
        ben, cleo, dan = node("ben", "ben"), node("cleo", "cleo"), node("dan", "dan", cable.address)
        nodes = (ann, ann2, ben, cleo, dan, eve)

        def wait_for_last(*readers: Driven) -> None:
            went_out = [
                [id_ for id_ in one.ids("wrote", ROOM) if id_ not in one.ids("failed", ROOM)]
                for one in nodes
            ]
            last = {ids[-1] for ids in went_out if ids}
            until(
                lambda: all(
                    last <= {*reader.ids("held", ROOM), *reader.ids("wrote", ROOM)}
                    for reader in readers
                )
            )

        try:
            for one in nodes:
                one.start()
            for one in nodes:
                one.ready()
                one.do("join", ROOM)
            time.sleep(WHOLE_SECOND)

            eve.do("set_clock", 120_000)
            for one in nodes:
                say(one, 3)
            ann.do("say", ROOM, "edit")
            ann.do("say", ROOM, "reaction")
            eve.do("set_clock", 0)
            wait_for_last(*nodes)
            time.sleep(0.2)  # for both handlers: one logs, one reports

            ben.kill()
            cleo.kill()
            say(ann, 4)
            say(dan, 2)
            wait_for_last(ann, ann2, dan, eve)

            cable.cut()
            dan.do("wait", False)
            say(ann, 3)
            dan.do("say", ROOM)  # sent before dan is in again, so the room returns it
            cable.mend()
            dan.do("wait", True)

            time.sleep(WHOLE_SECOND)
            eve.do("leave", ROOM)
            time.sleep(WHOLE_SECOND)
            say(ann, 3)
            time.sleep(WHOLE_SECOND)
            eve.do("join", ROOM)
            time.sleep(WHOLE_SECOND)
            say(eve, 2)

            for one in (ben, cleo):
                one.start()
                one.ready()
                one.do("join", ROOM)
            cleo.do("catch_up", ROOM, started_ms)
            say(ben, 1)
            wait_for_last(ann)

            prosody.restart()
            for one in nodes:
                one.do("wait", False)
            for one in nodes:
                one.do("wait", True)
                say(one, 1)
            wait_for_last(ann)
            cleo.do("catch_up", ROOM, started_ms)
            found = measured(server, nodes, [ROOM], started_ms)[ROOM]
        finally:
            for one in nodes:
                one.quit()

    true, came_back = truth(nodes, ROOM), {id_ for one in nodes for id_ in one.ids("failed", ROOM)}
    assert {*cleo.ids("archived", ROOM)} == written(nodes, ROOM).keys() - came_back
    assert len(came_back) == 1
    assert 20 < len(true.missing) < len(true.expected)
    figures = found.figures
    assert figures["expected"] + figures["unknown"] == len(true.expected)
    assert figures["missing"] == len(true.missing)
    assert found.missing_at == Counter(pair.message_id for pair in true.missing)
    assert figures["not_sent"] == len({p for p in true.missing if p.message_id in came_back})
    assert figures["by_history"] == len(true.fetched)


def test_by_the_archives_ids_everybody_names_a_message_alike(
    prosody: Prosody, server: ServerProcess, tmp_path: Path
) -> None:
    started_ms = time.time_ns() // 1_000_000
    port = int(prosody.address.rpartition(":")[2])
    options = {"port": port, "telemetry": server.grpc, "ids": "stanza"}
    ann, ben = (
        Driven(PROGRAM, tmp_path, name, user=name, nick=name, **options) for name in ("ann", "ben")
    )
    try:
        for one in (ann, ben):
            one.start()
            one.ready()
            one.do("join", ROOM)
        say(ann, 2)
        until(lambda: len(ben.ids("held", ROOM)) == 2)
        time.sleep(0.2)  # for both handlers: one logs, one reports
        ben.kill()
        say(ann, 2)
        ben.start()
        ben.ready()
        ben.do("join", ROOM)
        ben.do("catch_up", ROOM, started_ms)
        ben.do("say", ROOM)
        until(lambda: ann.ids("held", ROOM))
    finally:
        for one in (ann, ben):
            one.quit()
    named = {line["messageId"] for line in exported_samples(server)}
    assert named >= {*ben.ids("named", ROOM)}
    said = Counter(
        (line["messageId"], bool(line.get("sentByReceiver"))) for line in exported_samples(server)
    )
    assert said == Counter((id_, by_author) for id_ in named for by_author in (True, False))
    assert len(named) == 5
