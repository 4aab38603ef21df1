"""What share of users gives which interval: before anything is measured. Pure.

The model, with its check against the simulator: docs/evidence/plan.md. The interval is the one that
a window would have if all its sums were what the model expects of them.
"""

import math
from dataclasses import dataclass

from devtelemetry.estimate.interval import Interval, window_interval
from devtelemetry.model import Counts, Spread, Spreads

BUSIEST = 8.0
"""The busiest channel has so many times the messages of the quietest; between, evenly by ratio"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is assumed.

    users        of the messenger, each with one device
    share        of them that opt in, each by itself
    channels     all with as many members, who are any of the users
    members      of a channel
    messages     of a channel in a window, on average; any member writes any
    loss         the share of deliveries that are lost
    correlation  of the losses of two deliveries to one receiver: 0, chance alone; 1, a receiver
                 loses all or nothing
    """

    users: int
    share: float
    channels: int
    members: float
    messages: float
    loss: float
    correlation: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What a window would have, on average.

    comparable  channels in which two receivers report, or more
    receivers   that report in such a channel
    pairs       deliveries that can be judged
    interval    of the delivery ratio; None: there would be too little for one
    """

    comparable: float
    receivers: float
    pairs: float
    interval: Interval | None


def expected_of(plan: Plan) -> Expected:
    """A channel has Binomial(members, share) receivers that report."""
    share, members, messages = plan.share, plan.members, plan.messages
    alone = (1 - share) ** (members - 1)  # nobody else in the channel reports
    one = members * share
    reporters = one * (1 - alone)  # in comparable channels; the next: squared
    squared = one * (1 - share) + one * one - one * alone
    comparable = plan.channels * max(0.0, 1 - alone * (1 - share) - one * alone)
    each = messages * (1 - 1 / members)  # a receiver is not expected to get what it wrote
    # The mean square of the messages of a channel, as a multiple of the square of their mean.
    uneven = (1 + BUSIEST) / (BUSIEST - 1) * math.log(BUSIEST) / 2 + 1 / messages

    memberships = plan.channels * reporters
    pairs = memberships * each
    of_user = plan.channels * members / plan.users  # channels
    receivers = plan.users * share * (1 - alone**of_user)
    several = max(0.0, of_user * (of_user - 1)) * (1 - alone) ** 2
    over_memberships = memberships * uneven * each**2
    over_receivers = over_memberships + plan.users * share * several * each**2
    over_channels = plan.channels * squared * uneven * each**2

    loss, chance = plan.loss, plan.loss * (1 - plan.loss)
    alike, apart = plan.correlation * chance, (1 - plan.correlation) * chance * pairs

    def spread(clusters: float, squares: float, alike_squares: float) -> Spread:
        missing_squared = loss**2 * squares + alike * alike_squares + apart
        sums = (clusters, missing_squared, loss * squares, squares)
        return Spread(*map(round, sums))

    counts = Counts(
        messages=round(comparable * messages),
        receivers=round(memberships),
        expected=round(pairs),
        missing=round(loss * pairs),
        corroborated=round(pairs),
    )
    spreads = Spreads(
        over_channels=spread(comparable, over_channels, over_memberships),
        over_receivers=spread(receivers, over_receivers, over_receivers),
        over_memberships=spread(memberships, over_memberships, over_memberships),
    )
    return Expected(comparable, receivers, pairs, window_interval(counts, spreads))
