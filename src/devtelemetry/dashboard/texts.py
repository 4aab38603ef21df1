"""Texts that only pages have. Texts that a terminal also shows are in the room `words`. Pure."""

from collections.abc import Mapping

from devtelemetry import words

PRODUCT = "Dev-Telemetry"

NO_PAGE = "There is no such page. Start at the overview."

NO_DATABASE = "This page tries again by itself and shows figures as soon as the database answers."

BAD_SIGN_IN = (
    "This is not a valid token of scope read. `devtelemetry token create NAME --scope read` makes "
    "one."
)

TIMEFRAMES: Mapping[str, str] = {"1h": "Last hour", "1d": "Last day", "1w": "Last week"}

OLD_TIMEFRAMES: Mapping[str, str] = {"1h": "Latest hour", "1d": "Latest day", "1w": "Latest week"}
"""Titles for a stored window that is no longer the last one that could be computed"""

SPANS: Mapping[str, str] = {
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "1y": "1 year",
}

TERMS: Mapping[str, str] = {
    "delivery ratio": (
        "The share of deliveries that were made, of those that can be judged: 1 − missing ÷ "
        "corroborated. It is computed from summed counts, never as a mean of ratios."
    ),
    "interval": (
        "The range in which the true ratio lies with 95 % confidence. Losses of one receiver, or "
        "in one channel, often have one cause, so the range is wider than for independent losses. "
        "With fewer than 10 receivers or channels there is none."
    ),
    "R": (
        "The mean over the channels of 1 − missing ÷ expected: a quiet channel weighs as much as a "
        "busy one."
    ),
    "expected": (
        "Pairs of a message and a receiver that should hold it: the receiver was in the channel "
        "when the message was sent, and did not write it."
    ),
    "missing": (
        "Expected pairs without a report of receipt, although the receiver went on reporting."
    ),
    "surely missing": (
        "At least this many are missing, with 97.5 % confidence: the upper bound of the interval "
        "leaves no fewer. A small channel that lost many by chance has few. A channel without an "
        "interval counts as 0."
    ),
    "corroborated": (
        "Expected pairs whose message another receiver holds or sent. Only among these can a loss "
        "be recognised."
    ),
    "unknown": (
        "Pairs that cannot be judged: the receiver's own reports are missing, so nobody knows "
        "whether it got the message. They count neither as delivered nor as lost."
    ),
    "known share": (
        "The share of pairs that can be judged: expected ÷ (expected + unknown). Lost reports "
        "lower it, lost messages do not."
    ),
    "sample coverage": (
        "The estimated share of deliveries whose message at least one receiver reports. A loss "
        "that hits all receivers alike cannot be seen in it."
    ),
    "receivers": (
        "Distinct receivers (a public key on one device) with pairs that can be judged. In a "
        "channel: those that count."
    ),
    "provisional": (
        "The window is computed again when more samples arrive for it. Once it is settled, by "
        "default a day after its end, it no longer changes."
    ),
    "comparable": (
        "A channel is comparable if at least two receivers count in it and something was expected "
        "of them. Only comparable channels have a ratio and take part in totals."
    ),
    "influence": (
        "How far R, the mean over the channels, could move if one installation, or everyone behind "
        "one network, were left out. If that is as much as a change, find out who it is before you "
        "believe the change."
    ),
    "verdict": (
        "Better or worse is said only if the 95 % interval of the difference does not contain 0. "
        "It does not say why: a platform may do worse because its users are in worse channels."
    ),
    "on time": (
        "The share of all expected deliveries that were made within this time. What is lost counts "
        "as late."
    ),
    "delay": (
        "The time from sending a message to receiving it, by the server's clock. Delays are "
        "counted in classes, so a quantile is the upper edge of its class. “Not reached” means "
        "that too few messages were delivered."
    ),
    "membership": (
        "Which receivers count in a channel, and what each is expected to hold. Each policy has "
        "figures of its own."
    ),
    "objective": (
        "The share of deliveries that should be made, from the setting of this name. The rest are "
        "the losses that 30 days may have."
    ),
    "window": (
        "A span of time, aligned in UTC. A message belongs to the window in which it was sent."
    ),
    "median": "Half of the receivers have a delivery ratio of their own above it, half below.",
    "trimmed mean": (
        "The mean of the receivers' own delivery ratios, without the lowest and the highest tenth."
    ),
    "unseen": (
        "How many messages reached no receiver that reports. It is estimated from how many were "
        "seen once and how many twice."
    ),
    "one in": (
        "Clients report only one message in this many, and all receivers report the same ones. All "
        "counts except the estimated one are of these messages."
    ),
    "unconfirmed": (
        "Only one installation, or one network, reports these messages, and they are more than a "
        "tenth of the channel's. Its uplink may be broken, or it invents messages. They are not "
        "counted."
    ),
    "silent members": (
        "Receivers about which nothing else is known: no other installation confirms anything that "
        "theirs reports. Further receivers of an installation that never had a message of the "
        "channel are among them. They are not counted."
    ),
    "problems": (
        "A problem is a cause of more losses than in the same hours of earlier days, beyond what "
        "chance explains. The widest cause is listed, and since when. In four weeks without a "
        "cause at most 5 of 100 deployments see one listed, however often they look."
    ),
    "side": (
        "If one version loses more as author than others do, whoever receives, its sending is at "
        "fault: its row is worse. If it loses more as receiver, whoever sends, its receiving is at "
        "fault: its column is worse."
    ),
    "loss classes": (
        "Unreadable: it arrived and could not be decrypted or decoded. Dropped: it arrived, and "
        "the app threw it away. Not sent: its author's app says that it did not go out, and nobody "
        "else has it. Not arrived: the rest. Apps say so, with a reason of their own."
    ),
    "ways": (
        "How messages came to the receivers that hold them: live, from a history (an archive or a "
        "store), or sent again. A message from a history came late."
    ),
    "loss patterns": (
        "By everyone: only its author has the message. In a burst: one of "
        "several in a row that others got, so the receiver was probably offline. By one: all "
        "others have it. Scattered: some have it, some do not."
    ),
    "run": "Messages in a row that a receiver lacks; it holds none between them.",
    "other": "Groups with too few receivers to be shown, put together.",
}


def short_identifier(text: str, width: int = 48) -> str:
    """A client's text, short enough for a line of a table."""
    return words.shorten(text, width)
