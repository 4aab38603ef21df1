"""Clients report the messages that the server's rules want, and a push states its `one_in`."""

import json
import logging
import random
import sqlite3
from collections import Counter
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from devtelemetry.client import Limits, Outcome, SentAtClock, Settings, Via, sampling, shown
from devtelemetry.client.blind import blind_channel, blind_message, short_id
from devtelemetry.client.cli import run
from devtelemetry.client.identity import Identity
from devtelemetry.client.intake import Intake
from devtelemetry.client.lost import Loss
from devtelemetry.client.outbox import Claim, News, NewSample, Outbox
from devtelemetry.client.record import pack_message
from devtelemetry.client.sampling import MAX_RULES, read
from devtelemetry.client.sources import Source
from devtelemetry.client.storage import transaction
from devtelemetry.v1 import telemetry_pb2
from support.clients import Clock, eventually, receive, running_client, wall_clock
from support.push_server import Answer, push_server

START = Clock().now_ms
DAY_MS = 86_400_000
CHANNELS = ["general", "random", "x" * 600]
SERVER = ("server:1", "")
MOST = 2**20  # with this n hardly any message is in the sample


def rule_of(one_in: int, since: int, channel_id: str = "", salt: bytes = b"salt") -> Any:
    return telemetry_pb2.Sampling(
        one_in=one_in, salt=salt, channel_id=channel_id, **{"from": since}
    )


def telling(*rules: Any, interval: int = 0) -> Answer:
    def answer(request: telemetry_pb2.PushRequest, _: object) -> telemetry_pb2.PushResponse:
        return telemetry_pb2.PushResponse(
            accepted=len(request.samples), sampling=rules, push_interval_seconds=interval
        )

    return answer


class Device:
    """A client without threads: what the app reports is in the outbox at once."""

    def __init__(self, path: Path, *, is_blind: bool = False) -> None:
        self.settings = Settings(path, clock=Clock())
        self.settings.enable()
        self.settings.blind_ids = is_blind
        self.generation = 0
        self.open()

    def open(self) -> None:
        self.connection = self.settings.storage.connect()
        self.outbox = Outbox(self.connection, Limits(), "1.0")
        self.outbox.open(1, 0, self.generation, START)
        self.intake = Intake(self.settings, self.outbox)

    @property
    def identity(self) -> Identity:
        identity = self.outbox.identity(1)
        assert identity is not None
        return identity

    def say(self, *messages: tuple[str, str, int]) -> None:
        """message_id, channel_id, sent_at of each; a message without an id has only an envelope."""
        self.generation += 1
        records = [
            pack_message(
                1,
                START,
                message_id,
                channel_id,
                sent_at,
                b"",
                "" if message_id else "e",
                False,
                START,
                "",
                0,
                Outcome.HELD,
                "",
                Via.NOT_SAID,
                SentAtClock.AUTHOR,
                "1.0",
            )
            for message_id, channel_id, sent_at in messages
        ]
        self.intake.store(self.identity, records, {}, Source(0, self.generation))

    def claim(self) -> Claim:
        claim = self.outbox.claim(1, *SERVER, max_samples=500, max_bytes=2**20, now_ms=START)
        assert claim is not None
        return claim

    def hear(self, *rules: Any, interval: int = 0) -> None:
        """Takes the rules of a response."""
        told = telemetry_pb2.PushResponse(sampling=rules, push_interval_seconds=interval)
        self.outbox.settle(self.claim(), {}, News(None, "", START), told=told)

    def queued(self) -> list[tuple[int, str, str, int]]:
        """Number, channel and message as they are sent, and the n of the sampling."""
        rows = self.connection.execute(
            "select sequence, sample, one_in from telemetry_outbox where state = 'queued'"
            " order by sequence"
        )
        found = []
        for number, encoded, one_in in rows:
            sample = telemetry_pb2.Sample.FromString(encoded)
            found.append((number, sample.channel_id, sample.message_id, one_in))
        return found

    def add(self, samples: list[NewSample]) -> None:
        self.outbox.add(
            1, samples, [], lost=Loss(0, None), since=0, source=Source(0, 0), now_ms=START
        )

    def rates(self) -> list[tuple[int, int]]:
        """The number and the n of each queued sample."""
        rows = self.connection.execute(
            "select sequence, one_in from telemetry_outbox where state = 'queued' order by sequence"
        )
        return [(number, one_in) for number, one_in in rows]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "node.db")


# --------------------------------------------------------------------------- against brute force


class Model:
    """The rules of docs/protocol.md, computed in the plainest way."""

    def __init__(self) -> None:
        self.rules: list[tuple[str, int, int, bytes]] = []  # channel, since, one_in, salt

    def hear(self, told: list[tuple[str, int, int, bytes]]) -> None:
        named = {"", *(one[0] for one in told)}
        self.rules = [one for one in self.rules if told and one[0] not in named]
        for channel_id, since, one_in, salt in told:
            is_sound = one_in in {2**exponent for exponent in range(21)} and len(salt) <= 64
            rule = (one_in, salt) if is_sound else (1, b"")
            self.rules.append((channel_id, since, *rule))

    def one_in(self, channel_id: str, message_id: str, sent_at: int) -> tuple[int, bool]:
        """The n that is in force, and whether the message is in that sample."""
        for named in (channel_id, ""):
            begun = [one for one in self.rules if one[0] == named and one[1] <= sent_at]
            if begun:
                latest = max(since for _, since, _, _ in begun)
                one_in, salt = min(one[2:] for one in begun if one[1] == latest)
                digest = blake2b(
                    salt + channel_id.encode() + b"\x00" + message_id.encode(), digest_size=8
                )
                is_in = int.from_bytes(digest.digest(), "big") % one_in == 0
                return one_in, is_in or not message_id
        return 1, True


_TIMES = st.integers(0, 5).map(lambda seconds: START + 1000 * seconds)
_TOLD = st.tuples(
    st.sampled_from(["", *CHANNELS]),
    st.one_of(st.sampled_from([0, START - DAY_MS]), _TIMES),
    st.sampled_from([1, 2, 2, 4, 8, MOST, 0, 3, 2 * MOST]),
    st.sampled_from([b"", b"salt", b"other", b"s" * 64, b"s" * 65]),
)
_MESSAGE = st.tuples(
    st.one_of(st.just(""), st.text(min_size=1, max_size=3), st.just("m" * 600)),
    st.sampled_from(CHANNELS),
    _TIMES,
)
_STEP: st.SearchStrategy[tuple[str, list[Any]]] = st.one_of(
    st.tuples(st.just("say"), st.lists(_MESSAGE, min_size=1, max_size=40)),
    st.tuples(st.just("hear"), st.lists(_TOLD, max_size=6)),
    st.just(("restart", [])),
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(steps=st.lists(_STEP, min_size=4, max_size=20), is_blind=st.booleans())
def test_what_is_stored_is_what_brute_force_leaves(
    steps: list[tuple[str, list[Any]]], is_blind: bool
) -> None:
    model, left_out, next_number = Model(), Counter[int](), 1
    with TemporaryDirectory() as directory:
        device = Device(Path(directory) / "node.db", is_blind=is_blind)
        name = blind_channel if is_blind else short_id
        for what, things in steps:
            if what == "restart":
                device.connection.close()
                device.open()
            elif what == "hear":
                told = [(name(one[0]) if one[0] else "", *one[1:]) for one in things]
                model.hear(told)
                device.hear(*(rule_of(one[2], one[1], one[0], one[3]) for one in told))
            else:
                before = len(device.queued())
                device.say(*things)
                came = device.queued()[before:]
                assert [number for number, *_ in came] == list(
                    range(next_number, next_number + len(came))
                )
                next_number += len(came)
                expected = []
                for one, recorded in zip(things, _as_sent(things, is_blind), strict=True):
                    one_in, is_in = model.one_in(*recorded, one[2])
                    if is_in:
                        expected.append((*recorded, one_in))
                    else:
                        left_out[one_in] += 1
                assert [row[1:] for row in came] == expected
        assert device.settings.status().not_in_sample == left_out
        device.connection.close()


def _as_sent(messages: list[Any], is_blind: bool) -> list[tuple[str, str]]:
    """Channel and message of each, as they are sent."""
    if not is_blind:
        return [(short_id(channel), short_id(message)) for message, channel, _ in messages]
    return [
        (blind_channel(channel), blind_message(channel, message) if message else "")
        for message, channel, _ in messages
    ]


# -------------------------------------------------------------------------------------- the rules


def test_the_rule_is_that_of_the_channel_from_its_time_on_else_that_of_all(device: Device) -> None:
    device.hear(rule_of(MOST, START + 10), rule_of(1, START + 20, "small"))
    device.say(
        ("a", "general", START + 9),
        ("b", "general", START + 10),
        ("c", "small", START + 19),
        ("d", "small", START + 20),
    )
    assert [message for _, _, message, _ in device.queued()] == ["a", "d"]
    assert device.settings.status().not_in_sample == {MOST: 2}


def test_an_answer_replaces_what_it_names_and_none_ends_all(device: Device) -> None:
    device.hear(rule_of(2, 5), rule_of(4, 6, "a"), rule_of(8, 7, "b"))
    device.hear(rule_of(16, 9), rule_of(32, 8, "a"))
    assert [rule[:3] for rule in read(device.connection)] == [
        ("", 9, 16),
        ("a", 8, 32),
        ("b", 7, 8),
    ]
    device.hear(rule_of(64, 1, "b"))
    assert [rule[:3] for rule in read(device.connection)] == [("a", 8, 32), ("b", 1, 64)]
    device.hear()
    assert read(device.connection) == []


def test_what_another_rule_followed_before_the_oldest_message_goes(device: Device) -> None:
    old = START - 9 * DAY_MS
    device.hear(
        *(rule_of(2, old), rule_of(4, old + 1), rule_of(8, START)),
        *(rule_of(2, old, "a"), rule_of(4, START - 7 * DAY_MS, "a")),
    )
    assert [(rule.channel_id, rule.one_in) for rule in read(device.connection)] == [
        *(("", 4), ("", 8)),
        *(("a", 2), ("a", 4)),
    ]


def test_rules_that_cannot_be_are_left_out_with_one_line_and_more_is_reported(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="devtelemetry.client"):
        device.hear(
            rule_of(MOST, 0),
            rule_of(3, 0, "no-rate"),
            rule_of(0, 0, "zero"),
            rule_of(2 * MOST, 0, "too-coarse"),
            rule_of(MOST, 0, "salted", b"s" * 65),
            rule_of(MOST, 2**64 - 1, "never"),
            rule_of(MOST, 0, "c" * 513),
        )
    assert [record.getMessage() for record in caplog.records] == [
        "6 rules of sampling from the server have impossible values and are not used"
    ]
    channels = ("no-rate", "zero", "too-coarse", "salted")
    device.say(*(("m", channel, START) for channel in (*channels, "general", "never")))
    assert [row[1] for row in device.queued()] == list(channels)


def test_no_more_rules_are_kept_than_there_is_room_for(
    device: Device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert MAX_RULES == 10_000
    monkeypatch.setattr(sampling, "MAX_RULES", 5)
    device.hear(rule_of(2, 0), *(rule_of(2, 0, f"a{number}") for number in range(3)))
    device.hear(rule_of(4, 0), *(rule_of(2, 0, f"b{number}") for number in range(3)))
    kept = [(rule.channel_id, rule.one_in) for rule in read(device.connection)]
    assert kept == [("", 4), ("a0", 2), ("a1", 2), ("a2", 2), ("b0", 2)]
    assert "2 rules of sampling are left out" in caplog.text


def test_an_answer_that_says_what_is_known_writes_nothing_of_it(device: Device) -> None:
    def changes() -> int:
        return device.connection.total_changes

    rules = [rule_of(2, START), rule_of(4, 0), rule_of(8, 3, "a")]
    device.hear(*rules)
    spared = changes()
    with transaction(device.connection):
        sampling.remember(device.connection, rules, START)
    assert changes() == spared


def test_what_another_process_heard_holds_at_once(device: Device) -> None:
    device.say(("a", "general", START))
    other = Device(device.settings.storage.path)
    other.hear(rule_of(MOST, 0))
    device.say(("b", "general", START))
    assert device.settings.status().not_in_sample == {MOST: 1}


def test_rules_outlive_the_app_and_end_with_the_opt_in(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    at = wall_clock() + 1000
    with push_server() as server, running_client(settings, server.address) as client:
        server.answer = telling(rule_of(MOST, at, "c1"), interval=7)
        receive(client, "m1", at)
        eventually(lambda: settings.status().acknowledged == 1)
    told = [{"one_in": MOST, "salt": "c2FsdA==", "from": at, "channel_id": "c1"}]
    with running_client(settings, "127.0.0.1:1") as client:
        receive(client, "m2", at)
        receive(client, "m3", at, "c2")
        eventually(lambda: settings.status().waiting == 1)
        page = shown(settings)
        assert (page["sampling"], page["push_interval_seconds"]) == (told, 7)
        assert page["not_in_sample"] == {MOST: 1}
        settings.disable()
        settings.enable()
        receive(client, "m2", wall_clock() + 1000)
        eventually(lambda: settings.status().waiting == 1)
    page = shown(settings)
    assert (page["sampling"], page["push_interval_seconds"], page["not_in_sample"]) == ([], 0, {})


def test_what_is_left_out_is_told_to_people(
    device: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    device.hear(rule_of(MOST, 0, "large"), rule_of(2, 0, "small"))
    device.say(*(("m", "large", START) for _ in range(3)))
    device.say(*((f"m{number}", "small", START) for number in range(20)))
    kept = len(device.queued())
    assert 0 < kept < 20
    file = str(device.settings.storage.path)
    assert run(["status", "--settings", file]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"not in the sample of 1 in 2: {20 - kept}" in lines
    assert f"not in the sample of 1 in {MOST}: 3" in lines
    assert run(["show", "--settings", file]) == 0
    page = json.loads(capsys.readouterr().out)
    assert page["not_in_sample"] == {"2": 20 - kept, str(MOST): 3}
    assert {one["one_in"] for one in page["samples"]} == {2}


# ------------------------------------------------------------------------------------- the pushes


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(
        st.tuples(st.sampled_from([1, 2, 64]), st.sampled_from(["1.0", "1.0", "1.1"])),
        min_size=15,
        max_size=60,
    ),
    most=st.integers(1, 20),
    seed=st.integers(0, 2**32),
)
def test_a_push_has_one_rate_and_a_number_that_was_sent_stays(
    kinds: list[tuple[int, str]], most: int, seed: int
) -> None:
    dice = random.Random(seed)
    with TemporaryDirectory() as directory:
        device = Device(Path(directory) / "node.db")
        seen = dict[int, bytes]()
        arrived = list[bytes]()
        left = [
            NewSample(bytes([number]), START, START, version, one_in=rate)
            for number, (rate, version) in enumerate(kinds)
        ]
        while left or device.rates():
            if left and dice.random() < 0.5:
                count = dice.randint(1, 5)
                device.add(left[:count])
                left = left[count:]
                continue
            claim = device.outbox.claim(1, *SERVER, max_samples=most, max_bytes=99, now_ms=START)
            assert claim is not None
            assert {kinds[one[0]] for one in claim.samples} <= {(claim.one_in, claim.app_version)}
            for position, sample in enumerate(claim.samples):
                assert seen.setdefault(claim.first_sequence + position, sample) == sample
            if dice.random() < 0.5:
                device.outbox.release(claim)
            else:
                device.outbox.settle(claim, {}, News(None, "", START))
                arrived += claim.samples
        assert sorted(arrived) == [bytes([number]) for number in range(len(kinds))]
        assert sorted(seen) == list(range(1, len(kinds) + 1))
        device.connection.close()


def test_samples_that_come_by_turns_make_a_push_of_each_kind(device: Device) -> None:
    kinds = [(1, "1.0"), (4, "1.0"), (2, "1.1"), (4, "1.1")] * 20
    device.add([NewSample(b"s", START, START, version, one_in=rate) for rate, version in kinds])
    sizes = []
    while device.rates():
        claim = device.claim()
        device.outbox.settle(claim, {}, News(None, "", START))
        sizes.append(len(claim.samples))
    assert sizes == [20, 20, 20, 20]


def test_samples_of_two_rates_that_come_by_turns_make_two_pushes(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    settings.enable()
    at = wall_clock() + 1000
    with push_server() as server:
        server.answer = telling(rule_of(2, 0, "large"))
        with running_client(settings, server.address) as client:
            receive(client, "first", at)
            eventually(lambda: settings.status().acknowledged == 1)
            client.paused = True
            for number in range(100):
                receive(client, f"l{number}", at, "large")
                receive(client, f"s{number}", at, "small")
            eventually(lambda: settings.status().waiting > 100)
            client.flush()  # now all samples are stored
            eventually(
                lambda: settings.status().waiting + settings.status().not_in_sample.get(2, 0) == 200
            )
            client.paused = False
            client.flush()
            eventually(lambda: settings.status().waiting == 0)
        told = [(r.one_in, {s.channel_id for s in r.samples}) for r in server.pushed]
        assert told[0] == (0, {"c1"})
        assert sorted(told[1:], key=lambda one: one[0]) == [(0, {"small"}), (2, {"large"})]
        assert sorted(server.sequences) == list(range(1, len(server.samples) + 1))


def test_a_heartbeat_says_no_rate(device: Device) -> None:
    device.hear(rule_of(MOST, 0))
    claim = device.claim()
    assert (claim.samples, claim.one_in) == ([], 1)


# ------------------------------------------------------------------------- what older versions left


def test_a_file_that_knew_no_sampling_goes_on_with_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    device = Device(path)
    device.add([NewSample(b"a", START, START, "1.0")])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("drop table telemetry_sampling")
        for table, column in [
            ("identity", "push_interval"),
            ("outbox", "one_in"),
        ]:
            connection.execute(f"alter table telemetry_{table} drop column {column}")
        connection.commit()
    device = Device(path)
    rates = [4, 1, 4, 1]
    device.add([NewSample(b"b", START, START, "1.0", one_in=one_in) for one_in in rates])
    claim = device.claim()
    # Samples that wait there may have been sent before, so they keep their numbers.
    assert (claim.first_sequence, claim.samples, claim.one_in) == (1, [b"a", b"b", b"b"], 1)
    assert device.rates() == [(4, 4), (5, 4)]
    assert read(device.connection) == []
