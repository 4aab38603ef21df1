"""Beginners' mistakes: the figure is right all the same, or server or client name the mistake."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.ci import needs_package
from support.driven import Driven, Measured, measured, truth, until
from support.naive import Flaw, channel_of, settings_of
from support.program import in_process
from support.prosody import ROOMS, Prosody
from support.server import ServerProcess
from support.synapse import Synapse

needs_package("slixmpp")
needs_package("nio")
pytestmark = pytest.mark.slow

MATRIX = Path(__file__).parents[1] / "support" / "matrix_node.py"
XMPP = Path(__file__).parents[1] / "support" / "xmpp_node.py"
TIMES_AWAY = 3
# Flaws that the server finds. With all others the figure is right, or the client reports the flaw.
FOUND = {
    Flaw.LEAVES: "leaves_too_often",
    Flaw.IDS: "ids_differ",
    Flaw.TIMES: "clocks_mixed",
    Flaw.ECHO: "sending_not_said",
}


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterable[ServerProcess]:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as started:
        yield started


class NaiveDriven(Driven):
    """A messenger with a client for each flaw; all clients must have reported."""

    def __init__(self, *arguments: Any, naive: dict[str, str], **options: Any) -> None:
        super().__init__(*arguments, naive=naive, **options)
        path = self._options["settings"]
        self._flaws = [settings_of(path, flaw) for flaw in naive.values()]

    @property
    def reported_at(self) -> datetime:
        never = datetime.min.replace(tzinfo=UTC)
        return min(settings.status().last_sent_at or never for settings in self._flaws)


def findings(server: ServerProcess) -> set[tuple[str, str]]:
    """The kind and the app version of each finding."""
    found = in_process("report", "findings", server.where, "--json").document["findings"]
    return {(one["kind"], one["app_version"]) for one in found}


def held_by_all(nodes: Iterable[Driven], room: str, message_id: str) -> None:
    until(lambda: all(message_id in one.ids("held", room) for one in nodes))


def rounds(nodes: Sequence[Driven], rooms: Iterable[str]) -> None:
    """Each node but the first is away three times while the others talk."""
    first, *others = nodes
    for room in rooms:
        for node in nodes:
            for _ in range(4):
                node.do("say", room)
    for away in others * TIMES_AWAY:
        away.do("go_away")
        for room in rooms:
            first.do("say", room)
        away.do("come_back")
    for room in rooms:
        first.do("say", room)
        last = first.ids("wrote", room)[-1]
        held_by_all(others, room, last)


def assert_right(found: Measured, nodes: Sequence[Driven], room: str) -> None:
    true = truth(nodes, room)
    assert len(true.missing) >= 2 * TIMES_AWAY
    assert found.figures["expected"] + found.figures["unknown"] == len(true.expected)
    assert found.figures["missing"] == len(true.missing)


def test_by_hand_on_prosody(tmp_path: Path, server: ServerProcess) -> None:
    started_ms = time.time_ns() // 1_000_000
    users = ("ann", "ben", "cleo", "dan")
    naive = {f"{flaw}@{ROOMS}": flaw.value for flaw in Flaw}
    late = f"late@{ROOMS}"
    with Prosody(tmp_path, users) as prosody:
        port = int(prosody.address.rpartition(":")[2])
        by_hand = [
            NaiveDriven(
                XMPP, tmp_path, user, user=user, nick=user, port=port, telemetry=server.grpc,
                naive=naive,
            )
            for user in users
        ]  # fmt: skip
        with_module = [
            Driven(
                XMPP, tmp_path, f"{user}-late", user=user, nick=f"{user}-late", port=port,
                telemetry=server.grpc, late=True,
            )
            for user in users[:3]
        ]  # fmt: skip
        try:
            for nodes, rooms in ((by_hand, list(naive)), (with_module, [late])):
                for one in nodes:
                    one.start()
                for one in nodes:
                    one.ready()
                    for room in rooms:
                        one.do("join", room)
            for one in with_module:
                one.do("register")
            rounds(by_hand, list(naive))
            rounds(with_module, [late])
            channels = [*map(channel_of, Flaw), late]
            found = measured(server, [*by_hand, *with_module], channels, started_ms)
            statuses = [settings_of(str(tmp_path / f"{user}.db"), Flaw.SECONDS) for user in users]
            faults = [settings.status().faults for settings in statuses]
            told = findings(server)
        finally:
            for one in (*by_hand, *with_module):
                one.quit()

    assert_right(found[channel_of(Flaw.JOINS)], by_hand, f"{Flaw.JOINS}@{ROOMS}")
    assert_right(found[late], with_module, late)
    assert told == {(kind, flaw.value) for flaw, kind in FOUND.items()}
    # Times in seconds never leave the device, which reports the fault. So there is no figure.
    assert all(any("sent_at" in fault for fault in one) for one in faults)
    assert not found[channel_of(Flaw.SECONDS)].figures


def test_by_hand_on_synapse(tmp_path: Path, server: ServerProcess) -> None:
    """After a cut connection a device syncs what it missed, so only gaps of a sync are lost."""
    started_ms = time.time_ns() // 1_000_000
    flaws = (Flaw.JOINS, Flaw.LEAVES, Flaw.IDS, Flaw.TIMES, Flaw.ECHO)
    with Synapse(tmp_path) as synapse:
        logins = {name: synapse.register(name) for name in ("ann", "ben", "cleo", "dan")}
        token = logins["ann"]["access_token"]
        naive = {synapse.create_room(token, is_encrypted=False): flaw.value for flaw in flaws}
        late = synapse.create_room(token, is_encrypted=False)

        def options(name: str, login: dict[str, str]) -> dict[str, Any]:
            return {
                "telemetry": server.grpc,
                "url": synapse.url,
                "store": str(tmp_path / f"{name}-store"),
                **{key: login[key] for key in ("user_id", "device_id", "access_token")},
            }

        by_hand = [
            NaiveDriven(MATRIX, tmp_path, name, naive=naive, **options(name, login))
            for name, login in logins.items()
        ]
        with_module = [
            Driven(MATRIX, tmp_path, f"{name}-late", late=True, **options(f"{name}-late", login))
            for name, login in ((name, synapse.register(name)) for name in ("eve", "fay", "gus"))
        ]
        try:
            for nodes, rooms in ((by_hand, list(naive)), (with_module, [late])):
                for one in nodes:
                    one.start()
                for one in nodes:
                    one.ready()
                    for room in rooms:
                        one.do("join", room)
            for one in with_module:
                one.do("register")
            rounds(by_hand, list(naive))
            ann, *_, lossy = with_module
            for one in with_module:
                one.do("say", late)
            lossy.kill()
            for _ in range(12):
                ann.do("say", late)  # more than one sync brings
            lossy.start()
            lossy.ready()
            lossy.do("register")
            ann.do("say", late)
            held_by_all([lossy], late, ann.ids("wrote", late)[-1])
            channels = [*map(channel_of, flaws), late]
            found = measured(server, [*by_hand, *with_module], channels, started_ms)
            told = findings(server)
        finally:
            for one in (*by_hand, *with_module):
                one.quit()

    room_of = {flaw: room for room, flaw in naive.items()}
    for flaw in (Flaw.JOINS, Flaw.TIMES):
        figures, true = found[channel_of(flaw)].figures, truth(by_hand, room_of[flaw])
        assert (figures["expected"], figures["missing"]) == (len(true.expected), len(true.missing))
    true = truth(with_module, late)
    assert len(true.missing) > 0
    figures = found[late].figures
    assert figures["expected"] + figures["unknown"] == len(true.expected)
    # Messages of the first sync, before the module was registered, count as lost. The log says so.
    assert figures["missing"] >= len(true.missing)
    assert "attach the module when the app starts" in (tmp_path / "gus-late.err").read_text()
    assert told == {(kind, flaw.value) for flaw, kind in FOUND.items()}
