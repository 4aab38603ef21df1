"""The module for matrix-nio in real clients on a real Synapse reports what their logs show."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cable import Cable
from support.ci import needs_package
from support.driven import Driven, Pair, measured, truth, until, written
from support.server import ServerProcess
from support.synapse import Synapse

needs_package("nio")
pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[1] / "support" / "matrix_node.py"
APART = 0.3  # seconds between joining or leaving and a message


@pytest.fixture
def synapse(tmp_path: Path) -> Iterator[Synapse]:
    with Synapse(tmp_path) as started:
        yield started


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as started:
        yield started


def test_the_pairs_are_those_of_the_clients_logs_and_the_archive(
    synapse: Synapse, server: ServerProcess, tmp_path: Path
) -> None:
    """It has kills with and without history, a cut connection, a leave, a second device, a message
    that is redacted before it is fetched, keys that come late or never, a wrong clock, and a server
    that restarts."""
    started_ms = time.time_ns() // 1_000_000
    logins = {name: synapse.register(name) for name in ("ann", "ben", "cleo", "dan", "eve")}
    logins["ann2"] = synapse.login("ann")
    token = logins["ann"]["access_token"]
    plain, secret = (synapse.create_room(token, is_encrypted=is_e2e) for is_e2e in (False, True))
    with Cable(f"127.0.0.1:{synapse.port}") as cable:
        nodes = {
            name: Driven(
                PROGRAM,
                tmp_path,
                name,
                telemetry=server.grpc,
                url=f"http://{cable.address}" if name == "dan" else synapse.url,
                store=str(tmp_path / f"{name}-store"),
                **{key: login[key] for key in ("user_id", "device_id", "access_token")},
            )
            for name, login in logins.items()
        }
        everybody = tuple(nodes.values())
        ann, ben, cleo, dan, eve = (nodes[name] for name in ("ann", "ben", "cleo", "dan", "eve"))

        def say(author: Driven, number: int, *readers: Driven, room: str = plain) -> None:
            for _ in range(number):
                author.do("say", room)
            last = author.ids("wrote", room)[-1]
            came = ("held", "fetched", "unreadable")
            until(lambda: all(any(last in r.ids(w, room) for w in came) for r in readers))

        def all_say() -> None:
            for one in everybody:
                say(one, 1, *(reader for reader in everybody if reader is not one))

        try:
            for one in everybody:
                one.start()
            for one in everybody:
                one.ready()
                one.do("join", plain)
                one.do("join", secret)
            time.sleep(APART)

            eve.do("set_clock", 120_000)
            all_say()
            eve.do("set_clock", 0)
            ann.do("say", plain, "m.reaction")

            for one in (dan, eve):
                one.do("keep_keys_back")
            say(ann, 2, nodes["ann2"], ben, cleo, dan, eve, room=secret)
            eve.do("let_keys_come")
            time.sleep(0.2)  # for both handlers: one logs, one reports

            synapse.restart()
            all_say()

            ben.kill()
            cleo.kill()
            say(ann, 12, dan, eve)
            ann.do("redact_last", plain)
            eve.do("rename", "Eve")

            cable.cut()
            say(ann, 2, eve)
            cable.mend()
            say(dan, 1, ann)

            time.sleep(APART)
            eve.do("leave", plain)
            time.sleep(APART)
            say(ann, 2, dan)
            time.sleep(APART)
            eve.do("join", plain)
            time.sleep(APART)
            say(eve, 1, ann, dan)

            for one in (ben, cleo):
                one.start()
            for one in (ben, cleo):
                one.ready()
            cleo.do("backfill", plain)
            all_say()
            found = measured(server, everybody, [plain, secret], started_ms)
            archive = {room: synapse.archive(room, token) for room in (plain, secret)}
        finally:
            for one in everybody:
                one.quit()

    for room in (plain, secret):
        true = truth(everybody, room)
        if room == secret:
            late = {Pair(id_, one.name) for one in everybody for id_ in one.ids("decrypted", room)}
            never = {
                Pair(id_, one.name) for one in everybody for id_ in one.ids("unreadable", room)
            } - late
            assert (len(late), len(never)) == (2, 2)
            assert true.missing == never | late, "by the logs of what came readable at once"
            true = truth(everybody, room, readable=("held", "fetched", "decrypted"))
            assert found[room].figures["unreadable"] == len(never)
            assert found[room].figures["recovered"] == len(late)
        else:
            assert len(true.missing) > 5
            assert found[room].figures["by_history"] >= len(true.fetched) > 5
        messages = {
            event["event_id"]
            for event in archive[room]
            if event["type"] in ("m.room.message", "m.room.encrypted")
        }
        assert messages == written(everybody, room).keys()
        figures = found[room].figures
        assert figures["expected"] + figures["unknown"] == len(true.expected)
        assert figures["missing"] == len(true.missing)
        assert found[room].missing_at == Counter(pair.message_id for pair in true.missing)
