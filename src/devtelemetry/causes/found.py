"""The results: messages that some receiver lacks, and receivers that lack messages. No I/O."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from devtelemetry.causes.classify import LossPattern, Pairs, pairs_of, pattern_counts
from devtelemetry.model import LossClass, Via
from devtelemetry.store.keyring import receiver_name


class Receiver(NamedTuple):
    """A receiver that counts, with the platform and version that it reported last; empty: it never
    reported one."""

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
    """A missing pair of a message: its class, its reason and its pattern.

    reason  a code of the receiver's app or, if the message was not sent, of the author's app; "":
            no app gave one
    """

    receiver: Receiver
    loss_class: LossClass
    reason: str
    pattern: LossPattern


@dataclass(frozen=True, slots=True)
class MissingMessage:
    """A message that some receiver lacks. Ids, envelope and topics are as clients sent them: any
    text.

    sent_at         Unix ms, by the sender's clock
    authors         platform and version of each device that is known to have written it
    pairs           its pairs with receivers that count and should hold it
    held_elsewhere  how many receivers hold it although they do not count, are not expected to hold
                    it, or have a hole there
    went_out        True: it left its author's device, because another receiver reports it or it was
                    seen in the network. False: its author reports that it did not. None: not known
    ways            how many of the receivers that hold it and did not write it got it by each way
    lacking         the receivers that lack it, by name
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
        """How many receivers lack it for each class and reason, where a reason is given."""
        return Counter((one.loss_class, one.reason) for one in self.lacking if one.reason)

    @property
    def patterns(self) -> dict[LossPattern, int]:
        counts = Counter(one.pattern for one in self.lacking)
        return {of: counts[of] for of in LossPattern}


class LossyReceiver(NamedTuple):
    """losses  how many of its missing pairs are in each class"""

    receiver: Receiver
    sequence: bytes
    losses: Mapping[LossClass, int]

    @property
    def pairs(self) -> Pairs:
        return pairs_of(self.sequence)

    @property
    def patterns(self) -> dict[LossPattern, int]:
        return pattern_counts([self.sequence])
