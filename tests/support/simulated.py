"""Simulated networks of an hour, and the oracle's figures for their reports."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from devtelemetry.model import HOUR_MS, MINUTE_MS, from_unix_ms, parse_timeframe, window_at
from devtelemetry.simulator.reports import Part, Report, report
from devtelemetry.simulator.spec import Spec, World
from devtelemetry.simulator.truth import TrueWindow, true_windows
from oracle.model import Joining, Membership, OracleSample, OracleWindow, Receiver, compute
from oracle.samples import OUTCOMES, VIAS, Clock, Lost
from support.store import START

HOUR = parse_timeframe("1h")
CLOCKS: tuple[Clock, ...] = ("author", "server", "receiver")
"""In the order of their numbers on the wire"""
LATE_MS = 4_000_000_000_000  # after every window; in compressed time all is reported after it


def spec(**fields: object) -> Spec:
    """A Spec of one hour."""
    return replace(Spec(seed=1, start_ms=START, end_ms=START + HOUR_MS), **fields)  # type: ignore[arg-type]


def whole(world: World) -> TrueWindow:
    """The true figures of the measured window; empty if nothing was expected in it."""
    window = window_at(HOUR, from_unix_ms(START))
    found = {one.window: one for one in true_windows(world, HOUR)}
    return found.get(window, TrueWindow(HOUR.name, window))


def measured(
    world: World,
    *,
    membership: Membership = "present",
    recorded_ms: Callable[[int], int] = lambda _: LATE_MS,
    until_ms: int = LATE_MS,
    says_what_it_lost: bool = False,
    weight_cap: Fraction = Fraction(1, 10),
) -> OracleWindow:
    """The oracle's figures for the reports of `world`.

    recorded_ms        a function from the time of a report to when the server records it
    until_ms           later records are left out
    says_what_it_lost  clients report lost numbers, as the client library does
    """
    reports = report(world)

    def receiver(of: Report | Part) -> Receiver:
        return world.nodes[of.node].public_key, f"{of.node}-{of.installation}"

    samples: list[OracleSample] = []
    numbers: defaultdict[str, dict[int, int | None]] = defaultdict(dict)
    memberships: defaultdict[tuple[Receiver, str], list[Joining]] = defaultdict(list)
    for one in reports.arrived:
        if recorded_ms(one.at_ms) > until_ms:
            continue
        key, installation = receiver(one)
        numbers[installation][one.number] = one.sent_at
        samples.append(
            OracleSample(
                one.message.message_id,
                one.message.channel_id,
                key,
                one.sent_at,
                recorded_ms(one.at_ms),
                installation,
                one.is_author,
                outcome=OUTCOMES[one.outcome],
                reason=one.reason,
                via=VIAS[one.via],
                sent_at_clock=CLOCKS[one.sent_at_clock],
            )
        )
    lost: defaultdict[str, list[Lost]] = defaultdict(list)
    for one in reports.lost if says_what_it_lost else ():
        said_lost = lost[receiver(one)[1]]
        at = one.sent_at
        known = said_lost[-1] if said_lost else None
        if (
            known is not None
            and known.last_sequence + 1 == one.number
            and at <= known.last_sent_at + MINUTE_MS
        ):
            said_lost[-1] = Lost(
                known.first_sequence,
                one.number,
                min(known.first_sent_at, at),
                max(known.last_sent_at, at),
            )
        else:
            said_lost.append(Lost(one.number, one.number, at, at))
    heartbeats: dict[Receiver, int] = {}
    for part in reports.parts:
        said = memberships[receiver(part), part.channel_id]
        said_at = recorded_ms(part.joined_said_ms)
        if said_at <= until_ms:
            said.append((said_at, part.joined_at, 0))
            # A push that brings only a membership is a heartbeat.
            heartbeats[receiver(part)] = max(said_at, heartbeats.get(receiver(part), 0))
        if part.left_said_ms is not None and recorded_ms(part.left_said_ms) <= until_ms:
            said.append((recorded_ms(part.left_said_ms), part.joined_at, part.left_at))
    return compute(
        samples,
        world.spec.start_ms,
        world.spec.end_ms,
        membership,
        heartbeats=heartbeats,
        numbers=numbers,
        lost=lost,
        memberships=memberships,
        weight_cap=weight_cap,
    )
