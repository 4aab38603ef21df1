"""A window's figures in one form, to compare the program's with the oracle's."""

from typing import Any

from devtelemetry.model import WindowReliability
from oracle.model import OracleWindow

OUTCOMES = (
    *("unreadable", "dropped", "not_sent", "not_arrived"),
    *("recovered", "by_live", "by_history", "by_resend"),
)


def figures(window: WindowReliability) -> dict[str, Any]:
    return {
        channel.channel_id: (
            channel.counts.messages,
            channel.counts.receivers,
            channel.counts.expected,
            channel.counts.missing,
            channel.counts.corroborated,
            channel.counts.unknown,
            channel.comparable,
            *(getattr(channel.counts, name) for name in OUTCOMES),
            tuple(map(tuple, channel.figures.reasons)),
        )
        for channel in window.channels
    }


def oracle_figures(window: OracleWindow) -> dict[str, Any]:
    return {
        channel_id: (
            c.messages,
            c.receivers,
            c.expected,
            c.missing,
            c.corroborated,
            c.unknown,
            c.comparable,
            *(getattr(c.counts, name) for name in OUTCOMES),
            tuple(map(tuple, c.reasons)),
        )
        for channel_id, c in window.channels.items()
    }
