"""The messages that samples prove: when each was sent, who holds it, who wrote it.

How the page is read where it leaves a choice:

- *Accepted sample*: a sample with a createdAt. Order of arrival within a millisecond is not stored.
  So the first of several samples is the one with the least createdAt, then with the least of what
  else it says.
- *One vote an installation*: the first time that it said by the best clock. A second time from it
  is not a second vote. If several times have equally many votes, the earliest vote decides.
- *Receipts*: all samples of one (channel, message, receiver). Each outcome keeps the earliest
  createdAt. So sending a sample again is not a sign of life, but another outcome is.
- *Author's marks*: a sample without createdAt says only that the receiver wrote the message
  (status-go reports that for an envelope). A mark takes the pair out of the expected ones and
  vouches for the message. It is not a receipt: `first`, `last` and reporting ignore it. A mark has
  no effect if no sample reports its message.
- *Nameless samples* are samples of each message that an accepted sample with a name puts into the
  envelope, in every respect. If none does, they only show that their receiver reports.
- *Events of envelopes* are marks, and not receipts either. They hold for the messages that samples
  put into the envelope. An event that names no receiver holds for the receivers of its installation
  that have a sample of the message or wrote it. `from_store` gives the installation's samples of
  that envelope their `via`, if they have none.
- *The author* that gives a message its dimensions is the first that said so. Authors known by marks
  without a time come after the others. Of one moment the least id counts: (public key, installation
  id), or what `id_of` makes of it.
- *A reason* is that of the first sample of its outcome, even if that sample gives none.
- *Clocks*: `received_at` is by the server's clock as far as that is known. In an author's sample it
  is when the author sent the message. Of the HELD samples of a receipt the least `received_at`
  counts. If authors' times are a second or more off sentAt, the least of these corrects it. It does
  not if an author says no time, or one that is a second or more off the corrected one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from oracle.samples import (
    CLOCKS,
    OUTCOMES,
    VIAS,
    Clock,
    Descriptions,
    EnvelopeEvent,
    MessageKey,
    OracleSample,
    Outcome,
    Receiver,
    Via,
)

MINUTE = 60_000


Installation = tuple[str, str]
"""A receiver without its key if it has an installation id, since one installation can have many"""


def installation_of(receiver: Receiver) -> Installation:
    key, installation = receiver
    return ("", installation) if installation else (key, "")


Hand = tuple[str, str]
"""An installation or a network, on whose word alone a message may rest"""


UNKNOWN: Hand = ("", "")


def networks_of(receivers: Iterable[Receiver], networks: Mapping[Receiver, str]) -> frozenset[Hand]:
    return frozenset(
        ("network", networks[one]) if one in networks else UNKNOWN for one in receivers
    )


class Described(NamedTuple):
    """What a receiver reported last of itself; empty: it never did."""

    platform: str = ""
    app_version: str = ""
    server: str = ""


@dataclass(frozen=True)
class Receipt:
    """All samples of one (channel, message, receiver), merged."""

    created_at: Mapping[Outcome, int]
    """the earliest of each outcome"""
    reasons: Mapping[Outcome, str]
    received_at: int | None
    """when the receiver got what it holds"""
    via: Via

    @cached_property
    def outcome(self) -> Outcome:
        return next(outcome for outcome in OUTCOMES if outcome in self.created_at)


@dataclass(frozen=True)
class Message:
    """What the samples say of one message."""

    sent_at: int
    clock: Clock
    """the clock that sent_at is by"""
    message_type: str
    receipts: Mapping[Receiver, Receipt]
    authors: Mapping[Receiver, int | None]
    """each author, ordered by id → when it was first reported; None: only marks say so"""
    author_moments: Mapping[Receiver, int | None]
    """when each author sent it, by the server's clock; None: the author does not say"""
    failure: str | None
    """an author's reason for not having sent it; None: no author reports that"""
    went_out: bool
    contradicted_by: frozenset[Receiver]
    """receivers whose samples are conflicts: another sent_at by a clock that is as good"""

    @cached_property
    def holders(self) -> frozenset[Receiver]:
        return frozenset(r for r, receipt in self.receipts.items() if receipt.outcome == "held")

    @cached_property
    def vouchers(self) -> frozenset[Receiver]:
        return frozenset(self.receipts.keys() | self.authors.keys())

    @cached_property
    def installations(self) -> frozenset[Installation]:
        """the installations of its vouchers"""
        return frozenset(map(installation_of, self.vouchers))

    @cached_property
    def capturers(self) -> frozenset[Receiver]:
        return self.holders - self.authors.keys()

    @cached_property
    def author(self) -> Receiver | None:
        """The author whose platform, version and server describe the message."""
        return min(
            self.authors,
            key=lambda one: (self.authors[one] is None, self.authors[one] or 0),
            default=None,
        )

    @cached_property
    def was_not_sent(self) -> bool:
        arrived = self.receipts.keys() - self.authors.keys()
        return self.failure is not None and not arrived and not self.went_out

    @cached_property
    def corrected_sent_at(self) -> int:
        """When it was sent, by the server's clock if the authors' reports allow it."""
        if self.clock != "author":
            return self.sent_at
        moments = self.author_moments.values()
        off = [one for one in moments if one is not None and abs(one - self.sent_at) >= 1_000]
        corrected = min(off, default=self.sent_at)
        agree = all(one is not None and abs(one - corrected) < 1_000 for one in moments)
        return corrected if agree else self.sent_at


Canonical = Mapping[MessageKey, Message]


def canonical(
    samples: Iterable[OracleSample],
    events: Iterable[EnvelopeEvent] = (),
    id_of: Callable[[Receiver], Any] = lambda receiver: receiver,
) -> Canonical:
    """The messages that the samples prove, whatever the order and repetition of the input.

    What events say of envelopes holds for the messages in them.
    """
    all_samples = list(samples)
    named = [sample for sample in all_samples if not sample.is_nameless]
    contents = envelope_contents(named)

    of_message: defaultdict[MessageKey, list[OracleSample]] = defaultdict(list)
    for sample in named:
        of_message[sample.message].append(sample)
    for sample in all_samples:
        if sample.is_nameless:
            for channel_id, message_id in messages_of(sample, contents):
                of_message[channel_id, message_id].append(
                    replace(sample, channel_id=channel_id, message_id=message_id)
                )

    of_envelope: defaultdict[MessageKey, list[EnvelopeEvent]] = defaultdict(list)
    for event in events:
        for key in contents.get(event.envelope_id, ()):
            of_envelope[key].append(event)

    return {
        key: _message(its, of_envelope[key], id_of)
        for key, its in of_message.items()
        if any(sample.created_at is not None for sample in its)
    }


def envelope_contents(samples: Iterable[OracleSample]) -> Mapping[str, set[MessageKey]]:
    """Envelope → the messages that accepted samples put into it."""
    contents: defaultdict[str, set[MessageKey]] = defaultdict(set)
    for sample in samples:
        if sample.created_at is not None and sample.message_id and sample.envelope_id:
            contents[sample.envelope_id].add(sample.message)
    return contents


def messages_of(
    nameless: OracleSample, contents: Mapping[str, set[MessageKey]]
) -> list[MessageKey]:
    """The messages for which a sample without a message id stands."""
    assert nameless.outcome == "unreadable"
    assert nameless.envelope_id
    return [
        (channel_id, message_id)
        for channel_id, message_id in contents.get(nameless.envelope_id, ())
        if nameless.channel_id in ("", channel_id)
    ]


def _message(
    samples: list[OracleSample], events: list[EnvelopeEvent], id_of: Callable[[Receiver], Any]
) -> Message:
    receipts = [sample for sample in samples if sample.created_at is not None]
    involved = {sample.receiver for sample in samples} | {
        (event.receiver_public_key, event.installation_id)
        for event in events
        if event.receiver_public_key
    }

    # What authors report: that they wrote it and when they said so; why it was not sent.
    marks: list[tuple[Receiver, int | None]] = [
        (sample.receiver, sample.created_at) for sample in samples if sample.says_it_wrote_it
    ]
    failures: list[tuple[int | None, str]] = [
        (sample.created_at, sample.reason) for sample in samples if sample.outcome == "send_failed"
    ]
    for event in events:
        if event.kind not in ("sent", "send_failed"):
            continue
        by = _whose(event, involved)
        marks += [(receiver, event.created_at) for receiver in by]
        if event.kind == "send_failed" and by:
            failures.append((event.created_at, event.reason))
    authors: dict[Receiver, int | None] = {}
    for author in sorted({author for author, _ in marks}, key=id_of):
        told = [at for of, at in marks if of == author and at is not None]
        authors[author] = min(told, default=None)

    sent_at, clock = _dated(receipts)
    from_store = {
        (receiver, event.envelope_id)
        for event in events
        if event.kind == "from_store"
        for receiver in _whose(event, involved)
    }
    by_receiver: defaultdict[Receiver, list[OracleSample]] = defaultdict(list)
    for sample in receipts:
        by_receiver[sample.receiver].append(sample)
    return Message(
        sent_at=sent_at,
        clock=clock,
        message_type=_type(receipts),
        receipts={
            receiver: _receipt(
                [
                    replace(one, via="history")
                    if not one.via and (receiver, one.envelope_id) in from_store
                    else one
                    for one in its
                ]
            )
            for receiver, its in by_receiver.items()
        },
        authors=authors,
        author_moments={
            author: min(_moments(by_receiver[author]), default=None) for author in authors
        },
        failure=min(failures, key=_known_first)[1] if failures else None,
        went_out=any(event.kind == "went_out" for event in events),
        contradicted_by=frozenset(
            sample.receiver
            for sample in receipts
            if sample.sent_at_clock == clock != "receiver" and sample.sent_at != sent_at
        ),
    )


def _whose(event: EnvelopeEvent, involved: Iterable[Receiver]) -> list[Receiver]:
    return [
        (key, installation)
        for key, installation in involved
        if installation == event.installation_id and event.receiver_public_key in ("", key)
    ]


def _known_first(said: tuple[int | None, str]) -> tuple[bool, int, str]:
    created_at, reason = said
    return (created_at is None, created_at or 0, reason)


def _dated(receipts: list[OracleSample]) -> tuple[int, Clock]:
    """The sentAt with the most votes among samples with the best clock, and that clock."""
    clock = min((sample.sent_at_clock for sample in receipts), key=CLOCKS.index)
    votes: dict[Installation, tuple[int, int]] = {}
    for sample in receipts:
        if sample.sent_at_clock != clock:
            continue
        assert sample.created_at is not None
        voter = installation_of(sample.receiver)
        vote = (sample.created_at, sample.sent_at)
        votes[voter] = min(vote, votes.get(voter, vote))
    number = Counter(sent_at for _, sent_at in votes.values())
    most = max(number.values())
    _, sent_at = min(vote for vote in votes.values() if number[vote[1]] == most)
    return sent_at, clock


def _type(receipts: list[OracleSample]) -> str:
    """The type in the first accepted sample that has one."""
    said = [
        (sample.created_at or 0, sample.sent_at, sample.message_type)
        for sample in receipts
        if sample.message_type
    ]
    return min(said)[2] if said else ""


def _receipt(samples: list[OracleSample]) -> Receipt:
    """The receipt that all samples of one receiver make."""
    created_at: dict[Outcome, int] = {}
    reasons: dict[Outcome, str] = {}
    for outcome in OUTCOMES:
        said = [(s.created_at or 0, s.reason) for s in samples if s.outcome == outcome]
        if said:
            created_at[outcome], reasons[outcome] = min(said)
    held = [sample for sample in samples if sample.outcome == "held"]
    ways = [(sample.created_at or 0, VIAS.index(sample.via)) for sample in held]
    return Receipt(
        created_at,
        reasons,
        received_at=min((s.received_at for s in held if s.received_at is not None), default=None),
        via=VIAS[min(ways)[1]] if ways else "",
    )


def _moments(samples: Iterable[OracleSample]) -> list[int]:
    """The times at which an author sent it, by its samples that it held it or could not send it."""
    return [
        sample.received_at
        for sample in samples
        if sample.outcome in ("held", "send_failed") and sample.received_at is not None
    ]


def described(
    samples: Iterable[OracleSample], descriptions: Descriptions
) -> Mapping[Receiver, Described]:
    """What each receiver reported last of itself, in its samples and without them.

    For each property the latest minute of createdAt counts, and within a minute the greatest value.
    An author's mark describes nobody.
    """
    said: list[tuple[Receiver, int, tuple[str, ...]]] = [
        (sample.receiver, sample.created_at, (sample.platform, sample.app_version, sample.server))
        for sample in samples
        if sample.created_at is not None
    ]
    said += [
        (receiver, created_at, tuple(values))
        for receiver, of_it in descriptions.items()
        for created_at, *values in of_it
    ]
    last: defaultdict[Receiver, list[tuple[int, str]]] = defaultdict(lambda: [(0, "")] * 3)
    for receiver, created_at, values in said:
        for place, value in enumerate(values):
            if value:
                last[receiver][place] = max(last[receiver][place], (created_at // MINUTE, value))
    return {receiver: Described(*(value for _, value in of_it)) for receiver, of_it in last.items()}
