"""What an audit injects, and its true counts. Pure.

The truth is the same under every membership policy. A receiver that counts says that it joined
before the window and is still in, holds messages of the window, and reports after it. All other
receivers count under no policy. docs/audit.md has the cases.
"""

import hashlib
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from devtelemetry.figures.audits import Audit
from devtelemetry.model import MINUTE_MS, Counts, Timeframe, Window, unix_ms, window_at

PUBLIC_KEY = "devtelemetry-audit"
"""The key of all receivers of all audits; `devtelemetry forget` with it deletes all that is left"""

LEAST_NODES = 5
_MESSAGES_A_NODE = 3
_LEAST_MESSAGES = 40
_PUSHES_A_NODE = 8  # about; the numbers of its samples run through all of them
_LEAST_BATCH = 5
_TYPES = ("AUDIT_TEXT", "AUDIT_REACTION")
_LONGEST_MARGIN = timedelta(seconds=30)

_OTHERS = 2  # receivers that do not count: one left before the window, one falls silent
_LATE, _HOLE = 0, 1  # the node with a late push, and the node with a hole


class Timing(NamedTuple):
    """The times of an audit. Aware UTC.

    begin        when the first reports are pushed
    sent_until   the messages are sent in [window.start, sent_until)
    go_on        when the rest is pushed, after the window's end
    by           when all is pushed
    is_live      the window ends between `begin` and `go_on`, so a receiver can fall silent before
    """

    window: Window
    begin: datetime
    sent_until: datetime
    go_on: datetime
    by: datetime
    is_live: bool


class Told(NamedTuple):
    """A sample of a push."""

    message_id: str
    message_type: str
    sent_at: int  # Unix ms
    received_at: int
    is_author: bool


class Push(NamedTuple):
    """One request of a reporter. Without samples: a heartbeat.

    first_number  of the first sample; 0 without any
    joined_at     Unix ms; None: the push reports no stay
    left_at       None: still in
    """

    installation_id: str
    samples: tuple[Told, ...] = ()
    first_number: int = 0
    joined_at: int | None = None
    left_at: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """before, after: the pushes before and after the window's end, in order."""

    audit: Audit
    before: tuple[Push, ...]
    after: tuple[Push, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """What decides the plan of an audit.

    nodes   receivers that count
    loss    the share of deliveries that are lost, beside those that the cases lose
    quorum  each message has at least so many vouchers: the server's setting
    nonce   makes the ids of an audit unique; the truth does not depend on it
    """

    seed: int
    nodes: int
    loss: float
    quorum: int
    nonce: str


def plan_timing(timeframe: Timeframe, now: datetime, *, is_live: bool) -> Timing:
    """The times of an audit that starts now.

    Its window is the latest that is over or, if live, the next that ends. The margins allow for a
    difference between the clocks of this machine and the server.
    """
    margin = min(_LONGEST_MARGIN, timeframe.length / 6)
    window = window_at(timeframe, now)
    if not is_live:
        over = Window(window.start - timeframe.length, window.start)
        return Timing(over, now, over.end, now, now + margin, is_live=False)
    if now > window.end - 3 * margin:
        window = Window(window.end, window.end + timeframe.length)
    # No message is sent in the future, because a server may refuse that.
    sent_until = window.start + timeframe.length / 10
    return Timing(
        window,
        max(now, sent_until),
        sent_until,
        window.end + margin,
        window.end + 2 * margin,
        is_live=True,
    )


class _Message(NamedTuple):
    number: int
    sent_at: int
    author: int | None  # None: somebody who does not report


def make_plan(spec: Spec, timeframe: Timeframe, timing: Timing) -> Plan:
    """The same spec and timing always make the same plan."""
    chance = random.Random(spec.seed)  # noqa: S311 - of a simulation
    start, end = timing.window.start_ms, timing.window.end_ms
    messages = _messages(spec, start, unix_ms(timing.sent_until), chance)
    held = _who_holds(spec, messages, chance)
    installations = installation_ids(spec.nonce, spec.nodes)
    left, offline = spec.nodes, spec.nodes + 1

    pushes: dict[int, list[Push]] = {}
    reported: dict[int, set[int]] = {}
    holes: dict[int, tuple[int, int]] = {}
    counting = range(spec.nodes)
    for node in [*counting, left, *([offline] if timing.is_live else [])]:
        seen = [message for message in messages if node in held[message.number]]
        told = [_told(spec, message, node, chance) for message in seen]
        lost = range(0)
        if node == _HOLE:
            in_hole = [n for n, m in enumerate(seen) if m.number in _hole(len(messages))]
            lost = range(in_hole[0], in_hole[-1] + 1)
            holes[node] = told[lost.start - 1].sent_at, told[lost.stop].sent_at
        reported[node] = {m.number for n, m in enumerate(seen) if n not in lost}
        pushes[node] = [
            Push(installations[node], tuple(told[first:last]), first + 1)
            for first, last in _batches(len(told), lost, len(messages))
        ]
        joined_at = start - 60 * MINUTE_MS
        left_at = start - MINUTE_MS if node == left else None
        pushes[node][0] = pushes[node][0]._replace(joined_at=joined_at, left_at=left_at)
    truth = _truth(messages, held, reported, holes, counting)

    before, after = [], []
    late = pushes[_LATE].pop(len(pushes[_LATE]) // 2)
    for node, of_node in pushes.items():
        for number, push in enumerate(of_node):
            # As if an answer was lost: the client sends again what the server has.
            before += [push, push] if (node + number) % 3 == 0 else [push]
        if node != offline:
            # A message sent exactly at the end, which belongs to the next window; or a heartbeat.
            after.append(
                Push(
                    installations[node],
                    (_told(spec, _Message(len(messages), end, None), node, chance),),
                    of_node[-1].first_number + len(of_node[-1].samples),
                )
                if node % 2
                else Push(installations[node])
            )
    # The late push fills a hole in the numbers.
    after.append(late)
    return Plan(
        Audit(
            timeframe.name, timing.window.start, spec.nonce, truth, timing.by.replace(microsecond=0)
        ),
        tuple(before),
        tuple(after),
    )


def installation_ids(nonce: str, nodes: int) -> tuple[str, ...]:
    """The installations of an audit with `nodes` receivers that count; its channel id has both."""
    return tuple(
        hashlib.sha256(f"{nonce}-{number}".encode()).hexdigest()[:32]
        for number in range(nodes + _OTHERS)
    )


def _messages(spec: Spec, start: int, until: int, chance: random.Random) -> list[_Message]:
    """The messages in the order of sentAt; each has a moment of its own, the first the start."""
    count = max(_LEAST_MESSAGES, _MESSAGES_A_NODE * spec.nodes)
    step = (until - start) / count
    authors: list[int | None] = []
    for number in range(count):
        author = chance.randrange(spec.nodes)
        # This node writes nothing in and around its hole. What it wrote is not a pair, but without
        # its report a server could not know that.
        if author == _HOLE and count // 5 <= number < count - count // 5:
            author = _LATE
        authors.append(author)
    authors[_outsiders(count)] = None
    last = until - 1
    return [
        _Message(
            number,
            start + round(number * step) if number < count - 1 else last,
            author,
        )
        for number, author in enumerate(authors)
    ]


def _outsiders(count: int) -> int:
    """The message whose author does not report."""
    return count // 4


def _hole(count: int) -> range:
    """The messages for which the reports of one node are lost."""
    return range(count * 2 // 5, count * 3 // 5)


def _nobodys(count: int) -> int:
    """The message that reaches nobody."""
    return count // 2


def _who_holds(
    spec: Spec, messages: Sequence[_Message], chance: random.Random
) -> Mapping[int, set[int]]:
    """Message → its author and all nodes that got it, also those that do not count."""
    count = len(messages)
    # The node with the hole gets these in any case, so that it has reports on both sides of it.
    kept = range(0, count, 4)
    held: defaultdict[int, set[int]] = defaultdict(set)
    for message in messages:
        others = [node for node in range(spec.nodes) if node != message.author]
        if message.author is not None:
            held[message.number].add(message.author)
        is_special = message.number in (_outsiders(count), _nobodys(count))
        for node in others:
            is_kept = node == _HOLE and message.number in kept
            if not is_special and (is_kept or chance.random() >= spec.loss):
                held[message.number].add(node)
        # The node with the hole may lose its report, so it is not one of the vouchers needed.
        vouchers = [node for node in others if node != _HOLE]
        chance.shuffle(vouchers)
        for node in vouchers:
            if len(held[message.number] - {_HOLE}) >= spec.quorum:
                break
            held[message.number].add(node)
        # The receiver that left before still gets some, and so does the one that falls silent.
        if not is_special and message.number % 4 == 1:
            held[message.number] |= {spec.nodes, spec.nodes + 1}
    return held


def _told(spec: Spec, message: _Message, node: int, chance: random.Random) -> Told:
    return Told(
        f"{spec.nonce}-{message.number}",
        _TYPES[message.number % len(_TYPES)],
        message.sent_at,
        message.sent_at + chance.randrange(100, 900),
        is_author=message.author == node,
    )


def _batches(count: int, lost: range, messages: int) -> list[tuple[int, int]]:
    """Positions [first, last) of the samples in each push, of `count` samples without `lost`."""
    batch = max(_LEAST_BATCH, messages // _PUSHES_A_NODE)
    spans = [(0, lost.start), (lost.stop, count)] if lost else [(0, count)]
    return [
        (first, min(first + batch, stop))
        for begin, stop in spans
        for first in range(begin, stop, batch)
    ]


def _truth(
    messages: Sequence[_Message],
    held: Mapping[int, set[int]],
    reported: Mapping[int, set[int]],
    holes: Mapping[int, tuple[int, int]],
    counting: range,
) -> Counts:
    """The true counts, pair by pair."""
    expected = missing = corroborated = unknown = 0
    for message in messages:
        vouchers = {node for node, numbers in reported.items() if message.number in numbers}
        for node in counting:
            if node == message.author:
                continue
            after, before = holes.get(node, (0, 0))
            if after < message.sent_at < before:
                unknown += 1
                continue
            expected += 1
            missing += node not in held[message.number]
            corroborated += bool(vouchers - {node})
    return Counts(len(messages), len(counting), expected, missing, corroborated, unknown)
