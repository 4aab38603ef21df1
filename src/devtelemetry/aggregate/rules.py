"""How windows are computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from devtelemetry.model import DAY, MembershipPolicy, Source, Timeframe, parse_timeframe


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Channels and types of an interface that are not measured. They form no channel in any window,
    but their samples are stored.

    channels  patterns for the whole channel id: `*` is any text, `?` any character
    types     message types, exactly as written
    """

    channels: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AggregateRules:
    """How windows are computed.

    settle_time         from a window's end to its last computation
    recompute_interval  the least time between two computations of a provisional window
    lookback            how far back windows without any sample are computed too, so that silence is
                        on record
    quorum              how many installations must report or have sent a message for it to count
    weight_cap          the largest share of a channel's messages that counts if one installation or
                        one network is their only voucher; 1: no cap. Only with a quorum of 1
    smallest_group      how many receivers a platform, version or type must have to be shown
    fewest_installations  if fewer installations count in a channel, the cap does not apply and
                        nobody is a silent member; there is no interval for so few either
    """

    timeframes: tuple[Timeframe, ...]
    membership: MembershipPolicy = MembershipPolicy.PRESENT
    settle_time: timedelta = DAY
    recompute_interval: timedelta = timedelta(minutes=10)
    unmeasured: Mapping[Source, Unmeasured] = field(default_factory=dict)
    lookback: timedelta = 7 * DAY
    quorum: int = 1
    weight_cap: float = 0.1
    smallest_group: int = 3
    fewest_installations: int = 10

    def timeframe(self, name: str) -> Timeframe:
        """The timeframe of that name, configured or not. Raises ValueError, which says what is
        allowed."""
        configured = {timeframe.name: timeframe for timeframe in self.timeframes}
        return configured.get(name) or parse_timeframe(name)
