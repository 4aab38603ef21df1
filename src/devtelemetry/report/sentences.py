"""The figures in sentences. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.text import Text

from devtelemetry import words
from devtelemetry.figures.budget import Budget
from devtelemetry.figures.clocks import OFF_BY_MS, Clocks
from devtelemetry.figures.derive import ON_TIME_MS, QUANTILES, reasons_of, sum_of
from devtelemetry.figures.sides import sentence, suspects
from devtelemetry.findings.read import Finding
from devtelemetry.model import WindowReliability
from devtelemetry.problems.problem import Problems
from devtelemetry.releases.notes import Note

_BARS = "▁▂▃▄▅▆▇█"


def together(
    windows: Sequence[WindowReliability],
    tiles: Sequence[WindowReliability],
    influence_limit: float,
) -> Iterable[Text]:
    """Sentences on all windows together; none if no window has a ratio.

    tiles  the longest windows of their span, which are summed
    """
    total = sum_of(tiles)
    if total.counts.delivery_ratio is None:
        return
    said = f"Together {words.percent(total.counts.delivery_ratio)} delivered"
    summed = _summed_over(windows, tiles)
    if total.interval is None:
        yield Text(f"{said}. There are too few receivers or channels for an interval.{summed}")
    else:
        yield Text(f"{said}, 95 % interval {words.interval(total.interval)}.{summed}")
    ratios = [window.counts.delivery_ratio for window in windows]
    known = [ratio for ratio in ratios if ratio is not None]
    if len(known) > 1:
        span = f"from {words.percent(min(known))} to {words.percent(max(known))}"
        yield Text(f"Delivery {sparkline(ratios)} {span}")
    on_time = {edge: total.on_time(edge) for edge in ON_TIME_MS.values()}
    if any(ratio is not None for ratio in on_time.values()):
        within = ", ".join(
            f"{words.percent(ratio)} within {words.duration(edge)}"
            for edge, ratio in on_time.items()
        )
        reached = ", ".join(
            f"{name} {words.delay(total.quantile(share))}" for name, share in QUANTILES.items()
        )
        yield Text(f"{within}.")
        yield Text(f"Delay: {reached}.")
    for told in (
        words.losses(total.counts, reasons_of(tiles)),
        words.ways(total.counts),
    ):
        if told:
            yield Text(told)
    if side := sentence(suspects(tiles)):
        yield Text(side, style="yellow")
    unseen = sum(window.unseen for window in tiles if window.unseen is not None)
    if round(unseen):
        yield Text(
            f"About {words.count(unseen)} more messages reached no receiver that reports "
            "(estimated)."
        )
    if sampled := words.sampled(
        max((window.figures.one_in for window in windows), default=1),
        sum(window.figures.estimated_messages for window in tiles),
    ):
        yield Text(sampled)
    apart = words.apart(
        sum(window.figures.unconfirmed for window in tiles),
        max((window.figures.silent_members for window in windows), default=0),
    )
    if apart:
        yield Text(apart, style="yellow")
    influences = [window.figures.influence or 0.0 for window in windows]
    moved = [influence for influence in influences if influence > influence_limit]
    if moved:
        yield Text(
            f"In {len(moved)} of these windows one installation alone could move R by more than "
            f"{words.percent(influence_limit)}, at most by {words.percent(max(moved))}.",
            style="yellow",
        )


def _summed_over(windows: Sequence[WindowReliability], tiles: Sequence[WindowReliability]) -> str:
    """A sentence if longer windows than the listed ones are summed; else empty."""
    longer = dict.fromkeys(one.timeframe for one in tiles if one.timeframe != windows[0].timeframe)
    return (
        f" Where there are windows of {' and '.join(longer)}, these are summed." if longer else ""
    )


def sparkline(ratios: Sequence[float | None]) -> str:
    """A bar for each ratio, on a scale from the least to the greatest; a dot if there is no ratio.

    If all ratios are equal, all bars have half the height.
    """
    known = [ratio for ratio in ratios if ratio is not None]
    low, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    middle = len(_BARS) // 2
    return "".join(
        "·"
        if ratio is None
        else _BARS[round((ratio - low) / span * (len(_BARS) - 1)) if span else middle]
        for ratio in ratios
    )


def of_clocks(clocks: Clocks) -> Text:
    """How many of the reported clocks are off."""
    told, off = clocks.told, clocks.off_by_more["1s"]
    if not off:
        said = f"{told:,} {'receiver' if told == 1 else 'receivers'} reported their clocks"
        return Text(f"Clocks: {said}; none is off by more than a second.", style="dim")
    by_more = ", ".join(
        f"{number:,} by more than {words.duration(OFF_BY_MS[name])}"
        for name, number in clocks.off_by_more.items()
        if number and name != "1s"
    )
    return Text(
        f"Clocks: {off:,} of {told:,} reported clocks are off by more than a second"
        + (f" ({by_more})" if by_more else "")
        + f": {clocks.ahead:,} ahead, {clocks.behind:,} behind. Delays are corrected for this.",
        style="dim",
    )


def of_problems(problems: Problems, now: datetime) -> Iterable[Text]:
    """The problems, which come first in the report; nothing if no window is computed."""
    if problems.timeframe is None or problems.until is None:
        return
    until = f"{words.utc(problems.until)}, {words.age(now - problems.until)} ago"
    yield Text(f"Problems ({problems.timeframe.name} windows until {until})", style="bold")
    for one in problems.found:
        yield Text(f"{one.name}: {one.what}", style="red")
        yield Text(f"  {one.how_sure}", style="dim")
    yield Text(f"{problems.nothing}\n" if problems.nothing else "")


def of_budget(budget: Budget) -> Iterable[Text]:
    """What is left of the budget; nothing if there are no deliveries."""
    if budget.what:
        is_bad = budget.burning or (budget.left or 0) < 0
        yield Text(f"{budget.what}\n", style="red" if is_bad else "")


def of_notes(notes: Sequence[Note]) -> Iterable[Text]:
    """The team's notes, the oldest first."""
    for one in notes:
        of_version = f" [{words.visible(one.version)}]" if one.version else ""
        yield Text(f"{one.note_id:>5}  {words.utc(one.at)}{of_version} {words.visible(one.text)}")


def of_findings(findings: Sequence[Finding]) -> Iterable[Text]:
    """The findings and their remedies; nothing if there are none."""
    if not findings:
        return
    until = words.utc(max(one.found_until for one in findings))
    yield Text(f"Faults in how apps report (the day before {until})", style="bold")
    for one in findings:
        yield Text(f"{one.kind.value}: {one.where}. {one.what}", style="yellow")
        yield Text(f"  {one.remedy} {one.see}")
