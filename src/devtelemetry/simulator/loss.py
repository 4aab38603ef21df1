"""Why messages get lost, and at which stage. Pure.

A model is a sum of causes; a (message, receiver) pair is lost if any of them strikes. One number,
`loss`, scales each of the named models.

The stages, in the order in which a message comes to them: its author's app sends it; the network
carries it to a receiver; what was lost there comes another way; the receiver's app reads it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Trait(NamedTuple):
    """How common something is among nodes; `weight` is relative to the others."""

    name: str
    weight: float


PLATFORMS = (Trait("desktop", 40), Trait("android", 35), Trait("ios", 25))
VERSIONS = (Trait("2.35.1", 60), Trait("2.36.0", 40))  # the last one is the newest release
MESSAGE_TYPES = (Trait("CHAT_MESSAGE", 1),)
SERVERS = (Trait("chat-1.example", 50), Trait("chat-2.example", 30), Trait("chat-3.example", 20))
WORSE_PLATFORM = "ios"
NEWEST_VERSION = VERSIONS[-1].name
TIMES_WORSE = 4.0  # how much more often the bad platform, or the bad release, loses

# What apps say of a message that is lost.
SENDING_REASONS = (Trait("timeout", 2), Trait("no_peers", 1))
KEY_REASONS = (Trait("no_session_key", 3), Trait("unknown_session", 1))
DROP_REASONS = (Trait("too_large", 2), Trait("unknown_kind", 1))


def path_of(author: str, receiver: str) -> str:
    """`A → B` of the servers of an author and a receiver; empty where either is not said."""
    return f"{author} → {receiver}" if author and receiver else ""


BAD_LINK = tuple(
    path_of(*servers)
    for servers in ((SERVERS[0].name, SERVERS[1].name), (SERVERS[1].name, SERVERS[0].name))
)


@dataclass(frozen=True, slots=True)
class LossModel:
    """The causes, each as a probability.

    Sending:
    not_sent           of a message never to leave its author's device
    by_author_version  of a message whose author runs that version of the app, likewise
    told               of a message that does not leave, that its author's app knows and says so

    On the way:
    independent        of each pair by itself
    by_platform        of each pair whose receiver runs on it, likewise
    by_version         of each pair whose receiver runs that version of the app, likewise
    by_type            of each pair whose message is of that type, likewise
    by_path            of each pair that takes that path between two servers, likewise
    by_channel         of each pair of that channel, likewise
    by_release         of each pair whose receiver runs that version on that platform, likewise
    offline            that a node is offline at a given moment; in spans, and what others send
                       meanwhile does not reach it
    everyone           of a message to reach nobody but its author

    What comes all the same:
    history            of each pair that is missed offline: the node gets it from a history later
    resent             of each pair that was lost on the way by itself: it is sent again

    Reading, of each pair that arrives; one of these at most:
    no_key             it can never be read
    late_key           it can be read some seconds later
    dropped            the app throws it away
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
        """The probability that a message of such an author never leaves its device."""
        return 1 - (1 - self.not_sent) * (1 - self.by_author_version.get(version, 0.0))

    def of_pair(
        self, platform: str, version: str, message_type: str, path: str = "", channel: str = ""
    ) -> float:
        """The probability that a pair of such a receiver and message is lost by itself."""
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
        """The probability that such a pair is delivered, whatever may strike it.

        Of models in which nothing comes another way, and all that comes can be read.
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
    # Each class of losses takes a quarter; what is missed offline comes later but for a quarter.
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


# By the name that `--loss-model` takes. Each is given `loss`.
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
