"""Why messages get lost, and at which stage. Pure.

A model has several causes. A (message, receiver) pair is lost if any of them strikes. One number,
`loss`, scales each of the named models.

A message passes these stages: the author's app sends it; the network carries it to a receiver; if
it was lost there, it may come another way; the receiver's app reads it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Trait(NamedTuple):
    """How common a value is; `weight` is relative to the other values."""

    name: str
    weight: float


PLATFORMS = (Trait("desktop", 40), Trait("android", 35), Trait("ios", 25))
VERSIONS = (Trait("2.35.1", 60), Trait("2.36.0", 40))  # the last one is the newest release
MESSAGE_TYPES = (Trait("CHAT_MESSAGE", 1),)
SERVERS = (Trait("chat-1.example", 50), Trait("chat-2.example", 30), Trait("chat-3.example", 20))
WORSE_PLATFORM = "ios"
NEWEST_VERSION = VERSIONS[-1].name
TIMES_WORSE = 4.0  # how much more often the bad platform, or the bad release, loses

# The reasons that apps give for a lost message.
SENDING_REASONS = (Trait("timeout", 2), Trait("no_peers", 1))
KEY_REASONS = (Trait("no_session_key", 3), Trait("unknown_session", 1))
DROP_REASONS = (Trait("too_large", 2), Trait("unknown_kind", 1))


def path_of(author: str, receiver: str) -> str:
    """`A → B`, the servers of an author and a receiver; empty if one of them is not said."""
    return f"{author} → {receiver}" if author and receiver else ""


BAD_LINK = tuple(
    path_of(*servers)
    for servers in ((SERVERS[0].name, SERVERS[1].name), (SERVERS[1].name, SERVERS[0].name))
)


@dataclass(frozen=True, slots=True)
class LossModel:
    """The causes, each as a probability.

    Sending:
    not_sent           that a message never leaves its author's device
    by_author_version  the same, for messages whose author runs that version of the app
    told               that the author's app reports a message that did not leave

    On the way:
    independent        that a pair is lost, each pair by itself
    by_platform        the same, for pairs whose receiver runs on that platform
    by_version         for pairs whose receiver runs that version of the app
    by_type            for pairs whose message is of that type
    by_path            for pairs on that path between two servers
    by_channel         for pairs of that channel
    by_release         for pairs whose receiver runs that version on that platform
    offline            that a node is offline at a given moment; it is so for whole spans, in which
                       no message reaches it
    everyone           that a message reaches nobody but its author

    Afterwards:
    history            that a node gets from a history what it missed offline
    resent             that a pair that was lost by itself is sent again

    Reading, for each pair that arrives; at most one of these:
    no_key             that it can never be read
    late_key           that it can be read some seconds later
    dropped            that the app throws it away
    """

    not_sent: float = 0.0
    by_author_version: Mapping[str, float] = field(default_factory=dict)
    told: float = 0.75
    independent: float = 0.0
    by_platform: Mapping[str, float] = field(default_factory=dict)
    by_version: Mapping[str, float] = field(default_factory=dict)
    by_type: Mapping[str, float] = field(default_factory=dict)
    by_path: Mapping[str, float] = field(default_factory=dict)
    by_channel: Mapping[str, float] = field(default_factory=dict)
    by_release: Mapping[tuple[str, str], float] = field(default_factory=dict)
    offline: float = 0.0
    everyone: float = 0.0
    history: float = 0.0
    resent: float = 0.0
    no_key: float = 0.0
    late_key: float = 0.0
    dropped: float = 0.0

    def of_sending(self, version: str) -> float:
        """The probability that a message of an author with this version never leaves the device."""
        return 1 - (1 - self.not_sent) * (1 - self.by_author_version.get(version, 0.0))

    def of_pair(
        self, platform: str, version: str, message_type: str, path: str = "", channel: str = ""
    ) -> float:
        """The probability that a pair of this receiver and message is lost by itself."""
        kept = (
            (1 - self.independent)
            * (1 - self.by_platform.get(platform, 0.0))
            * (1 - self.by_version.get(version, 0.0))
            * (1 - self.by_type.get(message_type, 0.0))
            * (1 - self.by_path.get(path, 0.0))
            * (1 - self.by_channel.get(channel, 0.0))
            * (1 - self.by_release.get((platform, version), 0.0))
        )
        return 1 - kept

    def delivers(
        self, platform: str, version: str, message_type: str, author_version: str, path: str = ""
    ) -> float:
        """The probability that a pair is delivered, with all causes.

        Only for models in which nothing comes another way, and all that comes can be read.
        """
        others = (1 - self.of_sending(author_version)) * (1 - self.offline) * (1 - self.everyone)
        return (1 - self.of_pair(platform, version, message_type, path)) * others


NO_LOSS = LossModel()


def _platform(loss: float) -> LossModel:
    rates = {share.name: loss for share in PLATFORMS}
    return LossModel(by_platform=rates | {WORSE_PLATFORM: min(1.0, TIMES_WORSE * loss)})


def _release(loss: float) -> LossModel:
    rates = {share.name: loss for share in VERSIONS}
    return LossModel(by_version=rates | {NEWEST_VERSION: min(1.0, TIMES_WORSE * loss)})


def _sending(loss: float) -> LossModel:
    rates = {share.name: loss for share in VERSIONS}
    return LossModel(by_author_version=rates | {NEWEST_VERSION: min(1.0, TIMES_WORSE * loss)})


def _path(loss: float) -> LossModel:
    more = min(1.0, (TIMES_WORSE - 1) * loss)
    return LossModel(independent=loss, by_path=dict.fromkeys(BAD_LINK, more))


def _stages(loss: float) -> LossModel:
    # Each class takes a quarter of `loss`. Three quarters of what is missed offline come later.
    return LossModel(
        not_sent=loss / 4,
        independent=loss / 4,
        resent=1.0,
        offline=loss,
        history=0.75,
        no_key=loss / 4,
        late_key=loss / 4,
        dropped=loss / 4,
    )


def _mixed(loss: float) -> LossModel:
    # Each cause takes about a tenth of `loss`: a quarter of the nodes are on the bad platform, two
    # in five run the bad release, three pairs in ten take the bad link.
    return LossModel(
        not_sent=loss / 10,
        by_author_version={NEWEST_VERSION: loss / 4},
        independent=loss / 10,
        by_platform={WORSE_PLATFORM: loss * 2 / 5},
        by_version={NEWEST_VERSION: loss / 4},
        by_path=dict.fromkeys(BAD_LINK, loss / 3),
        offline=loss / 5,
        history=0.5,
        everyone=loss / 10,
        resent=0.2,
        no_key=loss / 10,
        late_key=loss / 10,
        dropped=loss / 10,
    )


# Name in `--loss-model` → a function of `loss`.
LOSS_MODELS: Mapping[str, Callable[[float], LossModel]] = {
    "independent": lambda loss: LossModel(independent=loss),
    "bursts": lambda loss: LossModel(offline=loss),
    "platform": _platform,
    "release": _release,
    "sending": _sending,
    "path": _path,
    "everyone": lambda loss: LossModel(everyone=loss),
    "stages": _stages,
    "mixed": _mixed,
}
