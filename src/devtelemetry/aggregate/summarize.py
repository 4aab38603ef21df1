"""Makes a window's result from what was found in its channels. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from devtelemetry.aggregate.due import state_at
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.estimate.unseen import window_sample_coverage, window_unseen
from devtelemetry.model import ChannelReliability, Timeframe, Window, WindowReliability
from devtelemetry.results.rows import (
    OF_WINDOW,
    Computed,
    counts_of,
    figures_of_channel,
    figures_of_window,
    group_of,
)
from devtelemetry.results.sums import sum_of_channels


def summarize(
    timeframe: Timeframe,
    window: Window,
    rules: AggregateRules,
    found: Computed,
    names: Mapping[int, str],
    now: datetime,
) -> WindowReliability:
    """Sums over the comparable channels, and R, the mean of their Rch.

    names  channel_id → the channel's name

    Channels of audits take part in no sum and no mean.
    """
    channels = [
        ChannelReliability(names[row["channel_id"]], counts_of(row), figures_of_channel(row))
        for row in found.channels
    ]
    taking_part = [one for one in channels if one.comparable and not one.is_audit]
    counts = [one.counts for one in taking_part]
    of_users = [one.figures for one in channels if not one.is_audit]
    ratios = [one.reliability for one in counts if one.reliability is not None]
    return WindowReliability(
        timeframe=timeframe.name,
        window=window,
        membership=rules.membership,
        state=state_at(window, rules.settle_time, now),
        reliability=sum(ratios) / len(ratios) if ratios else None,
        counts=sum_of_channels(counts),
        revision=1,
        computed_at=now,
        channels=tuple(channels),
        figures=replace(
            figures_of_window(found.window),
            unconfirmed=sum(figures.unconfirmed for figures in of_users),
            silent_members=sum(figures.silent_members for figures in of_users),
            one_in=max((one.figures.one_in for one in taking_part), default=1),
            estimated_messages=sum(one.figures.estimated_messages for one in taking_part),
        ),
        groups=tuple(group_of(row) for row in found.groups if row["channel_id"] == OF_WINDOW),
        unseen=window_unseen(channels),
        sample_coverage=window_sample_coverage(channels),
    )
