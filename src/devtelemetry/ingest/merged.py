"""Merges the samples of one message, and of one message at one receiver. Pure.

The rules are the same as in the database. So it does not matter whether two samples meet in one
transaction or not (docs/algorithm.md, "Canonical data").
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from devtelemetry.ingest.typed import NEVER, Typed, typed_of
from devtelemetry.model import Outcome, Sample, SentAtClock
from devtelemetry.store import states

# The bit of a receipt's state for each Outcome; HELD has none.
SAID = (0, states.UNREADABLE, states.DROPPED, states.SEND_FAILED)

# The outcome in the table `failure` of an author's report on an envelope. The others are Outcomes.
OF_ENVELOPE = 4

MessageKey = tuple[int, int]  # channel_id, message_id

Vote = tuple[int, int, int]
"""What a sample says of its message's sentAt: whose clock it is by (as stored, a lesser number is a
better clock), createdAt, sentAt. An installation votes with the least of its samples."""


# How the clock of a sentAt is stored, by SentAtClock. An author's mark has no clock.
CLOCKS = (1, 0, 2)
AUTHORS_CLOCK = CLOCKS[SentAtClock.AUTHOR]
RECEIVERS_CLOCK = CLOCKS[SentAtClock.RECEIVER]
NO_CLOCK = 3


class Failure(NamedTuple):
    """A sample of a message that is not held. The least one counts, which is the first."""

    created_at: int  # NEVER: not known
    reason: str


@dataclass(slots=True)
class NewReceipt:
    """All that a batch says of one message at one receiver.

    created_at    of the first sample that holds the message; None if no sample does
    received_at   the least that samples say; at the author, when it sent the message
    said          bits of receipt_state for the outcomes
    via           the way, of the first sample that holds the message
    authored_at   when a sample or mark first said that the receiver wrote the message
    vote          None if there is only a mark and no sample
    envelope_id   of the first sample that holds the message, from status-go only
    failures      by outcome as the table `failure` numbers it
    """

    created_at: int | None
    received_at: int | None
    sent_by_receiver: bool
    said: int = 0
    via: int = 0
    authored_at: int | None = None
    vote: Vote | None = None
    envelope_id: int | None = None
    failures: dict[int, Failure] | None = None

    @property
    def last_created_at(self) -> int | None:
        """When the receiver last reported this message with a new outcome. A sample that is sent
        again does not count."""
        if self.failures is None:
            return self.created_at
        failures = self.failures.items()
        told = [failure.created_at for outcome, failure in failures if outcome != OF_ENVELOPE]
        return max((at for at in (self.created_at, *told) if at is not None), default=None)

    def fail(self, outcome: int, failure: Failure) -> None:
        if self.failures is None:
            self.failures = {}
        self.failures[outcome] = min(failure, self.failures.get(outcome, failure))

    def add(self, sample: Sample, vote: Vote | None) -> None:
        """vote  None if the sample is a mark"""
        created_at, outcome = sample.created_at, sample.outcome
        if outcome is Outcome.HELD:
            self.sent_by_receiver |= sample.sent_by_receiver
        elif created_at is None:
            # The mark of an author who could not send it, as by a report of its envelope.
            self.said |= states.ENVELOPE_FAILED
            self.fail(OF_ENVELOPE, Failure(NEVER, sample.reason))
            self.sent_by_receiver = True
        else:
            self.said |= SAID[outcome]
            self.fail(outcome, Failure(created_at, sample.reason))
            self.sent_by_receiver |= sample.says_it_wrote_it
        if created_at is None or vote is None:
            return  # a mark says who wrote a message, but not when
        self.vote = vote if self.vote is None else min(vote, self.vote)
        if outcome is Outcome.HELD:
            if self.created_at is None or created_at < self.created_at:
                self.created_at, self.via = created_at, sample.via
            elif created_at == self.created_at:
                self.via = min(self.via, sample.via)
        if outcome is Outcome.HELD or outcome is Outcome.SEND_FAILED:
            self.received_at = least(self.received_at, sample.received_at or None)
        if sample.says_it_wrote_it:
            self.authored_at = least(self.authored_at, created_at)


@dataclass(slots=True)
class NewMessage:
    """All that a batch says of one message.

    created_at, sample  the first sample and its createdAt
    settled_at          a sample that was created later, by no better clock, changes none of the
                        fields above this one
    receipts            by receiver_id
    samples             all samples, to count conflicts and late samples once the message's sentAt
                        is known, and to merge them again without some
    envelope            the last envelope it was said to have come in; empty if none
    """

    key: MessageKey
    created_at: int
    sample: Sample
    vote: Vote
    typed: Typed
    settled_at: int
    receipts: dict[int, NewReceipt] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    envelope: str = ""

    @classmethod
    def of(cls, key: MessageKey, sample: Sample, vote: Vote | None) -> "NewMessage":
        """The message as one sample has it, without its receipt. vote: None if it is a mark."""
        created_at, vote, typed = _said(sample, vote)
        return cls(key, created_at, sample, vote, typed, _settled_at(created_at, vote, typed))

    def add(self, sample: Sample, vote: Vote | None) -> None:
        """Adds what a sample says of the message itself, without its receipt."""
        created_at, vote, typed = _said(sample, vote)
        if created_at < self.created_at:
            self.created_at, self.sample = created_at, sample
        self.vote, self.typed = min(vote, self.vote), min(typed, self.typed)
        self.settled_at = _settled_at(self.created_at, self.vote, self.typed)


def _said(sample: Sample, vote: Vote | None) -> tuple[int, Vote, Typed]:
    if vote is None:
        unsaid = typed_of(sample.source, "", None)
        return NEVER, (NO_CLOCK, NEVER, sample.sent_at), unsaid
    message_type = sample.message_type
    at = vote[1:] if message_type else None
    return vote[1], vote, typed_of(sample.source, message_type, at)


def _settled_at(created_at: int, vote: Vote, typed: Typed) -> int:
    return NEVER if typed.rank else max(created_at, vote[1], typed.created_at)


def least(a: int | None, b: int | None) -> int | None:
    """The lesser of two; None is unknown and is ignored, as by SQL's least()."""
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


def greatest(a: int | None, b: int | None) -> int | None:
    """The greater of two, by the same rule."""
    if a is None or b is None:
        return b if a is None else a
    return max(a, b)
