"""How many messages nobody received: capture and recapture. Pure.

A message that no receiver holds is in no figure, unless its author reports it. But the messages
that few receivers hold tell how many nobody holds, as animals that were caught once or twice tell
how many there are. The estimate is right on average where losses are independent. It is a lower
bound where some messages are harder to get than others, and it does not see what is lost for
everyone at once. docs/evidence/unseen.md has the formulas, their sources, and how far off they are.
"""

from collections.abc import Iterable

from devtelemetry.model import Captures, ChannelReliability, Counts


def unseen_messages(counts: Counts, captures: Captures) -> float | None:
    """The messages of a channel that have no capture, those that their author reports among them.

    counts    of the channel; expected / messages is how many receivers could capture a message
    captures  of the same channel

    The lesser of Chao2 (bias-corrected) and of Chao's estimate for occasions that differ, which for
    two receivers is Chapman's: the one takes receivers to be alike, the other messages to have the
    same possible capturers. None if they have less than two on average: where two people report
    what they write to each other, nobody else could tell.
    """
    occasions = _occasions(counts)
    if occasions is None:
        return None
    once, twice = captures.once, captures.twice
    # Pairs of messages that two different receivers alone captured; over those that two did.
    by_different = (once * once - captures.once_squared) / (2 * (twice + 1))
    if counts.receivers == 2:
        return by_different
    chao2 = (occasions - 1) / occasions * once * max(0, once - 1) / (2 * (twice + 1))
    return min(chao2, by_different)


def sample_coverage(counts: Counts, captures: Captures) -> float | None:
    """The share of deliveries that were of messages which some receiver reports, in [0, 1].

    Put otherwise: the chance that what one more receiver holds is a message that is known already.
    Chao and Jost's estimate, with the unseen messages as above. None without a capture, or where
    unseen_messages is.
    """
    unseen, occasions = unseen_messages(counts, captures), _occasions(counts)
    if unseen is None or occasions is None or captures.total == 0:
        return None
    if captures.once == 0:
        return 1.0
    missed = occasions * unseen
    return 1 - captures.once / captures.total * missed / (missed + captures.once)


def _occasions(counts: Counts) -> float | None:
    """How many could capture a message, on average; None if too few."""
    if counts.receivers < 2 or counts.messages == 0 or counts.expected < 2 * counts.messages:
        return None
    return counts.expected / counts.messages


def window_unseen(channels: Iterable[ChannelReliability]) -> float | None:
    """Σ unseen_messages over the comparable channels of a window that have it, less audits."""
    found = [
        unseen_messages(channel.counts, channel.figures.captures)
        for channel in channels
        if _takes_part(channel)
    ]
    known = [messages for messages in found if messages is not None]
    return sum(known) if known else None


def window_sample_coverage(channels: Iterable[ChannelReliability]) -> float | None:
    """Of the same channels, each weighing as much as it has captures."""
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
