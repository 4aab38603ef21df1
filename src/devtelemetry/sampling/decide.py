"""Makes the rules of sampling that the settings ask for.

A rule is made some time before it holds, so that clients hear of it first. It holds from a full
hour on, so that the rate does not change within a window of an hour. Source: docs/algorithm.md, "A
sample is enough".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from devtelemetry.figures.derive import Totals, totals_of
from devtelemetry.figures.read import Selection, read_windows, start_of_latest
from devtelemetry.model import HOUR_MS, MembershipPolicy, WindowReliability, from_unix_ms, unix_ms
from devtelemetry.model.sampling import Change, Sampling
from devtelemetry.store.database import Database
from devtelemetry.store.locks import Lock, try_lock
from devtelemetry.store.sampling import OF_ALL, add_rules, read_sampling
from devtelemetry.v1.sampling import MOST_ONE_IN
from devtelemetry.words import utc

TIMEFRAME = "1d"
"""The timeframe whose intervals decide"""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings ask for.

    one_in  for every channel; None: the greatest that keeps the interval of a day within `width`
    width   of the interval of the delivery ratio, from end to end
    notice  the time between making a rule and its beginning
    """

    one_in: int | None
    width: float
    notice: timedelta
    membership: MembershipPolicy


async def decide(database: Database, wish: Wish, *, now: Callable[[], datetime]) -> int:
    """Makes the rules that the wish needs and that do not exist yet; returns how many."""
    now_ms = unix_ms(now())
    notice_ms = wish.notice // timedelta(milliseconds=1)
    from_ms = -(-(now_ms + notice_ms) // HOUR_MS) * HOUR_MS
    async with (
        database.acquire() as connection,
        try_lock(connection, Lock.SAMPLING) as is_ours,
    ):
        if not is_ours:
            return 0
        sampling = await read_sampling(connection)
        if wish.one_in is None:
            rules = await _by_intervals(database, sampling, wish)
        else:
            rules = _for_all(sampling, wish.one_in)
        if rules:
            await add_rules(connection, rules, from_ms)
            _log.info(
                "made rules of sampling", rules=len(rules), hold_from=utc(from_unix_ms(from_ms))
            )
    return len(rules)


def _for_all(sampling: Sampling, one_in: int) -> dict[int, int]:
    """One rate for every channel, also for channels that had rules of their own."""
    every = {OF_ALL: sampling.of_all, **sampling.of_channels}
    return {channel_id: one_in for channel_id, changes in every.items() if _last(changes) != one_in}


async def _by_intervals(database: Database, sampling: Sampling, wish: Wish) -> dict[int, int]:
    """A rate for each channel of the latest day. Channels without a rule report all."""
    rules = {OF_ALL: 1} if _last(sampling.of_all) != 1 else {}
    window = await _latest_day(database, wish.membership)
    if window is None:
        return rules
    keyring = await database.keyring()
    whole = totals_of(window)
    # With too few channels the day has no interval, so there is nothing to keep narrow.
    of_whole = MOST_ONE_IN
    if whole.interval is not None:
        of_whole = coarsest_within(wish.width, whole, window.figures.one_in)
    for channel in window.channels:
        if channel.is_audit:
            continue
        channel_id = keyring.channel(channel.channel_id)
        changes = sampling.changes(channel_id)
        if changes and changes[-1].from_ms > window.window.start_ms:
            continue  # the last rule began later, so the day does not show its effect yet
        fits = min(
            of_whole, coarsest_within(wish.width, totals_of(channel), channel.figures.one_in)
        )
        # Raised only with room to spare, so that a slightly different day changes nothing.
        now_one_in = _last(changes)
        if fits < now_one_in:
            rules[channel_id] = fits
        elif fits >= 4 * now_one_in:
            rules[channel_id] = fits // 2
    return rules


async def _latest_day(database: Database, membership: MembershipPolicy) -> WindowReliability | None:
    days = Selection(TIMEFRAME, membership=membership)
    start, _ = await start_of_latest(database, days, 1)
    if start is None:
        return None
    return await anext(read_windows(database, replace(days, start=start)), None)


def coarsest_within(width: float, totals: Totals, one_in: int) -> int:
    """The greatest rate, one in so many, whose interval is surely within `width`.

    one_in  the rate at which the totals were reported

    With one message in n the interval is at most √n times as wide: exactly √n if all its width came
    from the number of messages; the part that comes from receivers does not grow. Without an
    interval, or without a loss to judge by, all messages are wanted: 1.
    """
    interval = totals.interval
    if interval is None or interval.upper <= interval.lower:
        return 1
    room = one_in * (width / (interval.upper - interval.lower)) ** 2
    fits = 1
    while fits * 2 <= min(room, MOST_ONE_IN):
        fits *= 2
    return fits


def _last(changes: Sequence[Change]) -> int:
    return changes[-1].one_in if changes else 1
