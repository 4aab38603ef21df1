"""Why messages get lost. Pure.

A model is a sum of causes; a (message, receiver) pair is lost if any of them strikes. One number,
`loss`, scales each of the named models.
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
WORSE_PLATFORM = "ios"
NEWEST_VERSION = VERSIONS[-1].name
TIMES_WORSE = 4.0  # how much more often the bad platform, or the bad release, loses


@dataclass(frozen=True, slots=True)
class LossModel:
    """The causes, each as a probability.

    independent  of each pair by itself
    by_platform  of each pair whose receiver runs on it, likewise
    by_version   of each pair whose receiver runs that version of the app, likewise
    by_type      of each pair whose message is of that type, likewise
    offline      that a node is offline at a given moment; in spans, and what others send meanwhile
                 never reaches it
    everyone     of a message to reach nobody but its author
    """

    independent: float = 0.0
    by_platform: Mapping[str, float] = field(default_factory=dict)
    by_version: Mapping[str, float] = field(default_factory=dict)
    by_type: Mapping[str, float] = field(default_factory=dict)
    offline: float = 0.0
    everyone: float = 0.0

    def of_pair(self, platform: str, version: str, message_type: str) -> float:
        """The probability that a pair of such a receiver and message is lost by itself."""
        kept = (
            (1 - self.independent)
            * (1 - self.by_platform.get(platform, 0.0))
            * (1 - self.by_version.get(version, 0.0))
            * (1 - self.by_type.get(message_type, 0.0))
        )
        return 1 - kept

    def delivers(self, platform: str, version: str, message_type: str) -> float:
        """The probability that such a pair is delivered, whatever may strike it."""
        others = (1 - self.offline) * (1 - self.everyone)
        return (1 - self.of_pair(platform, version, message_type)) * others


NO_LOSS = LossModel()


def _platform(loss: float) -> LossModel:
    rates = {share.name: loss for share in PLATFORMS}
    return LossModel(by_platform=rates | {WORSE_PLATFORM: min(1.0, TIMES_WORSE * loss)})


def _release(loss: float) -> LossModel:
    rates = {share.name: loss for share in VERSIONS}
    return LossModel(by_version=rates | {NEWEST_VERSION: min(1.0, TIMES_WORSE * loss)})


def _mixed(loss: float) -> LossModel:
    # Each cause takes about a fifth of `loss`: a quarter of the nodes are on the bad platform, two
    # in five run the bad release.
    return LossModel(
        independent=loss / 5,
        by_platform={WORSE_PLATFORM: loss * 4 / 5},
        by_version={NEWEST_VERSION: loss / 2},
        offline=loss / 5,
        everyone=loss / 5,
    )


# By the name that `--loss-model` takes. Each is given `loss`.
LOSS_MODELS: Mapping[str, Callable[[float], LossModel]] = {
    "independent": lambda loss: LossModel(independent=loss),
    "bursts": lambda loss: LossModel(offline=loss),
    "platform": _platform,
    "release": _release,
    "everyone": lambda loss: LossModel(everyone=loss),
    "mixed": _mixed,
}
