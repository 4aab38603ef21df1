"""Which interval to expect if a share of the users opts in, before anything is measured. Pure.

docs/evidence/plan.md has the model, and compares it with the simulator. The interval is that of a
window whose sums are all as the model expects.
"""

import math
from dataclasses import dataclass

from devtelemetry.estimate.interval import Interval, window_interval
from devtelemetry.model import Counts, Spread, Spreads

BUSIEST = 8.0
"""Messages of the busiest channel divided by those of the quietest; log-uniform between them"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is assumed.

    users        how many use the messenger, each with one device
    share        the share of users that opt in, independently
    channels     how many; all have equally many members, drawn from all users
    members      how many are in a channel
    messages     of a channel in a window, on average; each member is equally likely to write one
    loss         the share of deliveries that are lost
    correlation  between the losses of two deliveries to one receiver. 0: pure chance; 1: a
                 receiver loses all or nothing
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

    comparable  channels in which at least two receivers report
    receivers   receivers that report in such a channel
    pairs       deliveries that can be judged
    interval    of the delivery ratio; None: too few receivers or channels for one
    """

    comparable: float
    receivers: float
    pairs: float
    interval: Interval | None


def expected_of(plan: Plan) -> Expected:
    """What a plan leads to. A channel has Binomial(members, share) receivers that report."""
    share, members, messages = plan.share, plan.members, plan.messages
    alone = (1 - share) ** (members - 1)  # nobody else in the channel reports
    one = members * share
    reporters = one * (1 - alone)  # in comparable channels; `squared` is the mean square of them
    squared = one * (1 - share) + one * one - one * alone
    comparable = plan.channels * max(0.0, 1 - alone * (1 - share) - one * alone)
    each = messages * (1 - 1 / members)  # a receiver is not expected to get what it wrote
    # The mean square of the number of messages of a channel, divided by the square of the mean.
    uneven = (1 + BUSIEST) / (BUSIEST - 1) * math.log(BUSIEST) / 2 + 1 / messages

    memberships = plan.channels * reporters
    pairs = memberships * each
    of_user = plan.channels * members / plan.users  # channels of a user
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
