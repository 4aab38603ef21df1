"""What is found: messages that somebody lacks, and receivers that lack something. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from devtelemetry.causes.classify import LossClass, Pairs, class_counts, pairs_of
from devtelemetry.store.keyring import receiver_name


class Receiver(NamedTuple):
    """One that counts. Platform and version are the last ones it said; empty: it never did."""

    receiver_id: int
    platform: str
    app_version: str

    @property
    def name(self) -> str:
        return receiver_name(self.receiver_id)


class Author(NamedTuple):
    platform: str
    app_version: str


class Lacking(NamedTuple):
    receiver: Receiver
    loss_class: LossClass


@dataclass(frozen=True, slots=True)
class MissingMessage:
    """A message that somebody lacks. Ids, envelope and topics as clients sent them: any text.

    sent_at         Unix ms, the sender's clock
    authors         what those run that are known to have written it; of several devices, each
    pairs           of the receivers that count and should hold it
    held_elsewhere  how many hold it of whom it is not expected, or not known whether it is lost
    lacking         who lacks it, by name
    """

    message_id: str
    envelope_id: str
    topics: bytes
    message_type: str
    message_size: int | None
    sent_at: int
    authors: Sequence[Author]
    pairs: Pairs
    held_elsewhere: int
    lacking: Sequence[Lacking]

    @property
    def classes(self) -> dict[LossClass, int]:
        counts = dict.fromkeys(LossClass, 0)
        for one in self.lacking:
            counts[one.loss_class] += 1
        return counts


class LossyReceiver(NamedTuple):
    receiver: Receiver
    sequence: bytes

    @property
    def pairs(self) -> Pairs:
        return pairs_of(self.sequence)

    @property
    def classes(self) -> dict[LossClass, int]:
        return class_counts([self.sequence])
