"""Stays: an app may report a channel as often as it likes; the server gets correct stays."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from devtelemetry.client import Settings, lost, stays
from devtelemetry.client.lost import LostNumbers, Span
from devtelemetry.client.stays import Joined, Left, Present, Said, Stay
from devtelemetry.client.storage import transaction
from oracle.stays import END_OF_TIME
from oracle.stays import stays as stays_of
from support.clients import Clock, running_client
from support.push_server import push_server

START = Clock().now_ms
SHIPPED = Path(__file__).with_name("shipped.sql").read_text(encoding="utf-8")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    settings = Settings(tmp_path / "node.db", clock=Clock())
    settings.enable()
    with closing(settings.storage.connect()) as opened:
        yield opened


def say(connection: sqlite3.Connection, *said: Said) -> None:
    with transaction(connection):
        stays.remember(connection, said, START)


def tell(connection: sqlite3.Connection) -> list[tuple[str, int, int]]:
    """The memberships of a push that is answered."""
    with transaction(connection):
        told = stays.to_be_told(connection)
        stays.told(connection, told)
    return [stay[:3] for stay in told]


def test_who_is_in_says_so_once(connection: sqlite3.Connection) -> None:
    say(connection, Joined("c", START + 1), Joined("c", START + 2))
    assert tell(connection) == [("c", START + 1, 0)]
    say(connection, Joined("c", START + 3))
    assert tell(connection) == []


def test_leaving_ends_the_stay_and_coming_back_begins_another(
    connection: sqlite3.Connection,
) -> None:
    say(connection, Joined("c", START + 1))
    tell(connection)
    say(connection, Left("c", START + 5), Joined("c", START + 9))
    assert tell(connection) == [("c", START + 1, START + 5), ("c", START + 9, 0)]
    assert tell(connection) == []


def test_who_was_never_known_to_be_in_leaves_all_the_same(connection: sqlite3.Connection) -> None:
    say(connection, Left("c", START + 5))
    assert tell(connection) == [("c", 0, START + 5)]
    assert connection.execute("select count(*) from telemetry_stay").fetchone()[0] == 0


def test_nothing_is_said_of_before_the_opt_in(connection: sqlite3.Connection) -> None:
    say(connection, Left("gone", START - 1), Joined("in", START - 5))
    assert tell(connection) == [("in", START, 0)]
    say(connection, Left("in", START - 5))
    assert tell(connection) == [("in", START, START)]


def test_the_whole_list_opens_what_is_new_and_ends_what_is_gone(
    connection: sqlite3.Connection,
) -> None:
    say(connection, Joined("a", START + 1), Joined("b", START + 1))
    tell(connection)
    say(connection, Present(("b", "c", "c"), START + 7))
    assert tell(connection) == [("a", START + 1, START + 7), ("c", START + 7, 0)]
    say(connection, Present((), START + 9))
    assert tell(connection) == [("b", START + 1, START + 9), ("c", START + 7, START + 9)]


def test_an_answer_to_an_older_version_does_not_count(connection: sqlite3.Connection) -> None:
    say(connection, Joined("c", START + 1))
    under_way = stays.to_be_told(connection)
    say(connection, Left("c", START + 5))
    stays.told(connection, under_way)
    assert tell(connection) == [("c", START + 1, START + 5)]


CHANNELS = st.sampled_from("ab")
SAID = st.one_of(
    st.just("join"), st.just("leave"), st.frozensets(CHANNELS), st.just("push"), st.just("lose")
)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.tuples(SAID, CHANNELS), max_size=14))
def test_what_the_server_hears_are_the_stays_there_were(
    said: list[tuple[str | frozenset[str], str]], connection: sqlite3.Connection
) -> None:
    with transaction(connection):
        connection.execute("delete from telemetry_stay")
    heard: dict[str, list[tuple[int, int | None, int | None]]] = {"a": [], "b": []}
    were: dict[str, list[tuple[int, int]]] = {"a": [], "b": []}

    def is_in(channel: str) -> bool:
        return bool(were[channel]) and were[channel][-1][1] == END_OF_TIME

    def push(now: int) -> list[Stay]:
        told = stays.to_be_told(connection)
        for channel, joined_at, left_at, _ in told:
            heard[channel].append((now, joined_at, left_at))
        return told

    for step, (what, channel) in enumerate([*said, ("push", "a")], start=1):
        now = START + 10 * step
        present = {one for one in were if is_in(one)}
        if what == "join":
            say(connection, Joined(channel, now))
            present |= {channel}
        elif what == "leave":
            # A client that was not in reports nothing: the server would make a stay of it.
            if channel in present:
                say(connection, Left(channel, now))
            present -= {channel}
        elif isinstance(what, frozenset):
            say(connection, Present(tuple(what), now))
            present = set(what)
        elif what == "push":
            stays.told(connection, push(now))
        else:  # it arrives, but the answer is lost
            push(now)
        for one, known in were.items():
            if one in present and not is_in(one):
                known.append((now, END_OF_TIME))
            elif one not in present and is_in(one):
                known[-1] = (known[-1][0], now)
    for channel, known in were.items():
        assert stays_of(heard[channel], None) == known


def test_a_restart_knows_the_stays_and_an_opt_out_forgets_them(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    with push_server() as server:
        for _ in range(2):
            with running_client(settings, server.address) as client:
                client.channels_are(["a", "b"])
                client.channel_joined("a")
        with running_client(settings, server.address) as client:
            client.channel_left("a")
        heard = [m for request in server.pushed for m in request.memberships]
        assert [(m.channel_id, m.left_at > 0) for m in heard] == [
            ("a", False),
            ("b", False),
            ("a", True),
        ]
        assert heard[2].joined_at == heard[0].joined_at
    settings.disable()
    settings.enable()
    with closing(settings.storage.connect()) as connection:
        assert connection.execute("select count(*) from telemetry_stay").fetchone()[0] == 0


# --------------------------------------------------------------- what shipped clients left behind


def shipped(path: Path) -> None:
    """Files of the version before: opted in, with waiting samples and memberships."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHIPPED)
        connection.execute(
            "update telemetry_settings set telemetry_enabled = 1, opted_in_at = ?, consent = 1",
            (START,),
        )
        connection.execute(
            "insert into telemetry_identity (singleton, installation_id, secret, next_sequence,"
            " waiting_samples, waiting_bytes) values (1, 'phone', x'00', 8, 1, 65)"
        )
        connection.execute(
            "insert into telemetry_outbox values (7, 'queued', x'', ?, ?, '1.0', ?, '')",
            [START] * 3,
        )
        connection.executemany(
            "insert into telemetry_membership values (?, ?, ?, ?)",
            [("in", START + 1, 0, 1), ("was", START + 1, START + 2, 3), ("left", 0, START + 3, 1)],
        )
        connection.commit()


def test_what_a_shipped_client_left_is_told_by_this_one(tmp_path: Path) -> None:
    shipped(tmp_path / "node.db")
    for _ in range(2):
        settings = Settings(tmp_path / "node.db", clock=Clock())
        assert settings.telemetry_enabled
        assert (settings.status().installation_id, settings.status().waiting) == ("phone", 1)
    with closing(settings.storage.connect()) as connection:
        say(connection, Joined("in", START + 9))
        assert tell(connection) == [
            ("in", START + 1, 0),
            ("left", 0, START + 3),
            ("was", START + 1, START + 2),
        ]
        # Stays that it reported before may still be open. Leaving without a beginning ends them.
        say(connection, Left("in", START + 20), Joined("new", START + 20), Left("new", START + 30))
        assert tell(connection) == [("in", 0, START + 20), ("new", START + 20, START + 30)]
        say(connection, Joined("in", START + 40))
        tell(connection)
    settings.disable()
    settings.enable()
    with closing(settings.storage.connect()) as connection:
        say(connection, Joined("in", START + 50))
        tell(connection)
        say(connection, Left("in", START + 60))
        assert tell(connection) == [("in", START + 50, START + 60)]


def test_a_file_of_before_and_a_new_one_have_the_same_tables(tmp_path: Path) -> None:
    def columns(path: Path) -> dict[str, list[str]]:
        with closing(Settings(path).storage.connect()) as connection:
            tables = connection.execute(
                "select name from sqlite_master where type = 'table' order by name"
            ).fetchall()
            return {
                name: [row["name"] for row in connection.execute(f"pragma table_info({name})")]
                for (name,) in tables
            }

    shipped(tmp_path / "old.db")
    assert columns(tmp_path / "old.db") == columns(tmp_path / "new.db")


# ------------------------------------------------------------------------------ what was lost


@pytest.mark.parametrize("at_once", [True, False])
def test_losses_that_touch_are_told_as_one_and_what_lies_between_others_is_left_out(
    connection: sqlite3.Connection, at_once: bool
) -> None:
    minute = 60_000
    said: list[tuple[int, int, Span | None]] = []
    for first, last, at in [
        (1, 2, START),
        (3, 3, START + minute),
        (4, 4, START + 10 * minute),
        (6, 6, START + 10 * minute),
        (8, 9, START - 1),
    ]:
        said.append((first, last, Span(at, at + 5)))
    said += [(10, 10, Span(START - 9, START - 1)), (11, 11, None)]
    if at_once:
        lost.remember(connection, said, START)
    else:
        for one in said:
            lost.remember(connection, [one], START)
    ten = START + 10 * minute
    assert lost.to_be_told(connection) == [
        (1, 3, START, START + minute + 5),
        (4, 4, ten, ten + 5),
        (6, 6, ten, ten + 5),
        (8, 9, START, START + 4),
    ]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_no_more_losses_are_kept_than_one_push_tells(
    connection: sqlite3.Connection, one_by_one: bool
) -> None:
    said: list[tuple[int, int, Span | None]] = []
    for number in range(1, 300):
        at = START + number * 3_600_000
        said.append((2 * number, 2 * number, Span(at, at)))
    for begin in range(0, 299, 1 if one_by_one else 150):
        lost.remember(connection, said[begin : begin + (1 if one_by_one else 150)], START)
    kept = lost.to_be_told(connection)
    assert len(kept) == lost.MAX_TOLD
    assert (kept[-1].last_sequence, kept[-1].last_sent_at) == (598, START + 299 * 3_600_000)


def test_what_changed_while_it_was_told_is_told_again(connection: sqlite3.Connection) -> None:
    lost.remember(connection, [(1, 2, Span(START, START))], START)
    under_way = lost.to_be_told(connection)
    lost.remember(connection, [(3, 3, Span(START, START + 1))], START)
    lost.forget(connection, under_way)
    assert lost.to_be_told(connection) == [LostNumbers(1, 3, START, START + 1)]
