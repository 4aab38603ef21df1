"""What is found: messages that somebody lacks, and receivers that lack something. No I/O."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from devtelemetry.causes.classify import LossPattern, Pairs, pairs_of, pattern_counts
from devtelemetry.model import LossClass, Via
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
    """A missing pair of a message: what became of it, why, and in which pattern it is lost.

    reason  a code of the receiver's app; of what was not sent, of the author's. "": not said
    """

    receiver: Receiver
    loss_class: LossClass
    reason: str
    pattern: LossPattern


@dataclass(frozen=True, slots=True)
class MissingMessage:
    """A message that somebody lacks. Ids, envelope and topics as clients sent them: any text.

    sent_at         Unix ms, the sender's clock
    authors         what those run that are known to have written it; of several devices, each
    pairs           of the receivers that count and should hold it
    held_elsewhere  how many hold it of whom it is not expected, or not known whether it is lost
    went_out        it left its author's device: somebody else got it, or it was seen in the
                    network. False: its author says it did not. None: nobody says
    ways            of all who hold it and did not write it, how it came to how many
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
    went_out: bool | None
    ways: Mapping[Via, int]
    lacking: Sequence[Lacking]

    @property
    def losses(self) -> dict[LossClass, int]:
        counts = Counter(one.loss_class for one in self.lacking)
        return {of: counts[of] for of in LossClass}

    @property
    def reasons(self) -> Counter[tuple[LossClass, str]]:
        """How many lack it for each reason that is said."""
        return Counter((one.loss_class, one.reason) for one in self.lacking if one.reason)

    @property
    def patterns(self) -> dict[LossPattern, int]:
        counts = Counter(one.pattern for one in self.lacking)
        return {of: counts[of] for of in LossPattern}


class LossyReceiver(NamedTuple):
    """losses  of its missing pairs, what became of how many"""

    receiver: Receiver
    sequence: bytes
    losses: Mapping[LossClass, int]

    @property
    def pairs(self) -> Pairs:
        return pairs_of(self.sequence)

    @property
    def patterns(self) -> dict[LossPattern, int]:
        return pattern_counts([self.sequence])
