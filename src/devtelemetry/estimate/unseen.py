"""How many messages no reporting receiver holds: capture and recapture. Pure.

A message that no receiver holds is in no figure, unless its author reports it. But the messages
that few receivers hold show how many nobody holds, just as animals that were caught once or twice
show how many there are. The estimate is right on average if losses are independent. It is a lower
bound if some messages are harder to get than others. It does not see losses that hit everyone at
once. docs/evidence/unseen.md has the formulas, their sources, and how far off they are.
"""

from collections.abc import Iterable

from devtelemetry.model import Captures, ChannelReliability, Counts


def unseen_messages(counts: Counts, captures: Captures) -> float | None:
    """How many messages of a channel have no capture, also those that their author reports.

    counts    of the channel; expected / messages is how many receivers could capture a message
    captures  of the same channel

    It is the lesser of two estimates: Chao2 (bias-corrected), which assumes that all receivers are
    alike, and Chao's for occasions that differ (for two receivers: Chapman's), which assumes that
    all messages have the same possible capturers. None if messages have less than two possible
    capturers on average: if two people report what they write to each other, nobody else could
    show a loss.
    """
    occasions = _occasions(counts)
    if occasions is None:
        return None
    once, twice = captures.once, captures.twice
    # The pairs of messages that two different receivers captured alone, divided by the number of
    # messages that two receivers captured (plus one, against bias).
    by_different = (once * once - captures.once_squared) / (2 * (twice + 1))
    if counts.receivers == 2:
        return by_different
    chao2 = (occasions - 1) / occasions * once * max(0, once - 1) / (2 * (twice + 1))
    return min(chao2, by_different)


def sample_coverage(counts: Counts, captures: Captures) -> float | None:
    """The share of deliveries whose message some receiver reports, in [0, 1].

    In other words: the probability that a message held by one more receiver is known already. It is
    Chao and Jost's estimate, with the unseen messages as above. None without a capture, or if
    unseen_messages is None.
    """
    unseen, occasions = unseen_messages(counts, captures), _occasions(counts)
    if unseen is None or occasions is None or captures.total == 0:
        return None
    if captures.once == 0:
        return 1.0
    missed = occasions * unseen
    return 1 - captures.once / captures.total * missed / (missed + captures.once)


def _occasions(counts: Counts) -> float | None:
    """How many receivers could capture a message, on average; None if too few."""
    if counts.receivers < 2 or counts.messages == 0 or counts.expected < 2 * counts.messages:
        return None
    return counts.expected / counts.messages


def window_unseen(channels: Iterable[ChannelReliability]) -> float | None:
    """Σ unseen_messages over the comparable channels of a window that have it, except audits."""
    found = [
        unseen_messages(channel.counts, channel.figures.captures)
        for channel in channels
        if _takes_part(channel)
    ]
    known = [messages for messages in found if messages is not None]
    return sum(known) if known else None


def window_sample_coverage(channels: Iterable[ChannelReliability]) -> float | None:
    """The mean over the same channels, weighted by their captures."""
    known = [
        (coverage, channel.figures.captures.total)
        for channel in channels
        if _takes_part(channel)
        and (coverage := sample_coverage(channel.counts, channel.figures.captures)) is not None
    ]
    total = sum(captures for _, captures in known)
    return (
        1 - sum((1 - coverage) * captures for coverage, captures in known) / total
        if known
        else None
    )


def _takes_part(channel: ChannelReliability) -> bool:
    return channel.comparable and not channel.is_audit
