"""What each receiver reports of the messages of a channel in a window, and the counts that follow.
Pure."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.causes.classify import HELD, MISSING, Classified, classify, sequence
from devtelemetry.model import Counts, LossClass, Via
from devtelemetry.store import states

_NOT_SENT = states.SEND_FAILED | states.ENVELOPE_FAILED


class Held:
    """What one receiver has of the channel in the window, as positions of measured messages.

    reported  positions of messages that it did not write, by its report (bits of receipt_state)
    own       positions of messages that it wrote
    """

    __slots__ = ("first_sent_at", "has_measured", "last_sent_at", "own", "reported")

    def __init__(self) -> None:
        self.reported: defaultdict[int, array[int]] = defaultdict(_positions)
        self.own = _positions()
        self.has_measured = False
        self.first_sent_at: int | None = None  # of all its receipts, measured or not
        self.last_sent_at: int | None = None

    @property
    def positions(self) -> Iterator[int]:
        return chain(self.own, *self.reported.values())

    @property
    def held(self) -> Iterator[int]:
        for said, positions in self.reported.items():
            if said < states.NOT_HELD:
                yield from positions


def _positions() -> "array[int]":
    return array("I")


@dataclass(frozen=True, slots=True)
class Hands:
    """The hands that each receiver is in: its installation and, if known, the network that it is
    behind."""

    installations: Mapping[int, int]
    buckets: Mapping[int, int]


@dataclass(slots=True)
class Seen:
    """The measured messages, and the receivers that report or wrote them."""

    message_ids: "array[int]" = field(default_factory=lambda: array("q"))
    times: "array[int]" = field(default_factory=lambda: array("q"))
    captures: "array[int]" = field(default_factory=_positions)
    vouchers: "array[int]" = field(default_factory=_positions)
    lone: dict[int, int] = field(default_factory=dict)  # position → the only voucher
    not_sent: "array[int]" = field(default_factory=_positions)
    held: dict[int, Held] = field(default_factory=dict)


def take(seen: Seen, message: Mapping[str, Any], reports: Sequence[Mapping[str, Any]]) -> None:
    """Adds a message.

    reports  of the message: rows of receivers that report the same, or are known to have written it
    """
    sent_at, is_measured = message["sent_at"], message["is_measured"]
    position = len(seen.times)
    if is_measured:
        of_others = [row for row in reports if not row["sent_by_receiver"]]
        vouchers = sum(len(row["receivers"]) for row in reports)
        seen.message_ids.append(message["message_id"])
        seen.times.append(sent_at)
        seen.captures.append(
            sum(len(row["receivers"]) for row in of_others if row["said"] < states.NOT_HELD)
        )
        seen.vouchers.append(vouchers)
        if vouchers == 1:
            seen.lone[position] = reports[0]["receivers"][0]
        if (
            not of_others
            and not message["went_out"]
            and any(row["said"] & _NOT_SENT for row in reports)
        ):
            seen.not_sent.append(position)
    for row in reports:
        is_own, said = row["sent_by_receiver"], row["said"]
        for receiver in row["receivers"]:
            has = seen.held.get(receiver)
            if has is None:
                has = seen.held[receiver] = Held()
            if said < states.MARK:
                # Messages come in the order of time.
                if has.first_sent_at is None:
                    has.first_sent_at = sent_at
                has.last_sent_at = sent_at
            if is_measured:
                has.has_measured = True
                (has.own if is_own else has.reported[said]).append(position)


def alone(seen: Seen, hand_of: Mapping[int, int]) -> dict[int, int]:
    """The messages that one hand alone vouches for: position → hand.

    hand_of  receiver → hand; a receiver that is not in it has a hand of its own
    """
    found = {at: hand_of.get(receiver, receiver) for at, receiver in seen.lone.items()}
    for hand, vouched in _of_several(seen, hand_of):
        found.update({at: hand for at, n in vouched.items() if n == seen.vouchers[at]})
    return found


def _of_several(seen: Seen, hand_of: Mapping[int, int]) -> Iterator[tuple[int, Counter[int]]]:
    """For each hand with several receivers here: how many of them vouch for each position."""
    receivers = defaultdict[int, list[Held]](list)
    for receiver, has in seen.held.items():
        receivers[hand_of.get(receiver, receiver)].append(has)
    for hand, several in receivers.items():
        if len(several) > 1:
            yield hand, Counter(chain.from_iterable(has.positions for has in several))


def left_out_of(
    rules: AggregateRules, seen: Seen, hands: Hands, members: Sequence[Mapping[str, Any]]
) -> Sequence[int]:
    """Positions of measured messages that are not in M. Source: docs/algorithm.md.

    members  the receivers that count
    """
    if rules.quorum > 1:
        voters = seen.vouchers[:]
        for _, vouched in _of_several(seen, hands.installations):
            for at, n in vouched.items():
                voters[at] -= n - 1
        return [at for at, number in enumerate(voters) if number < rules.quorum]
    left_out: set[int] = set()
    most = rules.weight_cap * len(seen.times)
    for hand_of, column in ((hands.installations, "installation_id"), (hands.buckets, "bucket_id")):
        if len({row[column] for row in members} - {None}) < rules.fewest_installations:
            continue
        named = set(hand_of.values())
        claimed = {at: hand for at, hand in alone(seen, hand_of).items() if hand in named}
        disbelieved = {hand for hand, n in Counter(claimed.values()).items() if n > most}
        left_out |= {at for at, hand in claimed.items() if hand in disbelieved}
    return sorted(left_out)


class Outcomes(NamedTuple):
    """One receiver's pairs: how many missing ones are in each class, and how many held ones came by
    each way.

    recovered  held pairs whose message could not be read at first
    alone      expected pairs whose message no other installation reports or wrote
    """

    losses: Mapping[LossClass, int]
    ways: Mapping[int, int]
    recovered: int
    alone: int


def classified(
    seen: Seen,
    members: Sequence[Mapping[str, Any]],
    left_out: Sequence[int],
    hands: Hands,
    burst: int,
) -> tuple[Classified, Sequence[Outcomes]]:
    nothing = Held()
    lone: defaultdict[int, list[int]] = defaultdict(list)
    for position, installation in alone(seen, hands.installations).items():
        lone[installation].append(position)
    sequences, outcomes = [], []
    for row in members:
        has = seen.held.get(row["receiver_id"], nothing)
        one = sequence(
            seen.times,
            [(span.lower, span.upper - 1) for span in row["stays"] or ()]
            or [(row["from_sent_at"], row["to_sent_at"])],
            holes=[(span.lower, span.upper) for span in row["holes"] or ()],
            held=has.held,
            own=has.own,
            left_out=left_out,
        )
        sequences.append(one)
        vouched = lone[row["installation_id"]] and set(has.positions).intersection(
            lone[row["installation_id"]]
        )
        outcomes.append(_outcomes(one, has, seen.not_sent, vouched))
    return classify(sequences, seen.captures, burst), outcomes


def _outcomes(one: bytes, has: Held, not_sent: Iterable[int], lone: Iterable[int]) -> Outcomes:
    """one  the sequence of the receiver, before it has patterns"""

    def known_of(positions: Iterable[int]) -> bytes:
        return bytes(map(one.__getitem__, positions))

    losses = dict.fromkeys(LossClass, 0)
    ways: Counter[int] = Counter()
    recovered = 0
    for said, positions in has.reported.items():
        known = known_of(positions)
        if said >= states.NOT_HELD:
            of = LossClass.UNREADABLE if said & states.UNREADABLE else LossClass.DROPPED
            losses[of] += known.count(MISSING)
        else:
            held = known.count(HELD)
            ways[(said & states.VIA) // states.VIA_UNIT] += held
            recovered += held if said & states.UNREADABLE else 0
    losses[LossClass.NOT_SENT] = known_of(not_sent).count(MISSING)
    losses[LossClass.NOT_ARRIVED] = one.count(MISSING) - sum(losses.values())
    alone = known_of(lone)
    return Outcomes(losses, ways, recovered, alone.count(HELD) + alone.count(MISSING))


def counts_of_pairs(
    seen: Seen, found: Classified, outcomes: Sequence[Outcomes], left_out: Sequence[int]
) -> Counts:
    expected = sum(pairs.expected for pairs in found.of_messages)

    def lost(of: LossClass) -> int:
        return sum(one.losses[of] for one in outcomes)

    def came(via: Via) -> int:
        return sum(one.ways[via] for one in outcomes)

    return Counts(
        messages=len(seen.times) - len(left_out),
        receivers=len(found.sequences),
        expected=expected,
        missing=sum(pairs.missing for pairs in found.of_messages),
        corroborated=expected - sum(one.alone for one in outcomes),
        unknown=sum(pairs.unknown for pairs in found.of_messages),
        unreadable=lost(LossClass.UNREADABLE),
        dropped=lost(LossClass.DROPPED),
        not_sent=lost(LossClass.NOT_SENT),
        recovered=sum(one.recovered for one in outcomes),
        by_live=came(Via.LIVE),
        by_history=came(Via.HISTORY),
        by_resend=came(Via.RESENT),
    )
