"""Comparisons for people: a line, or rows of a table. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from devtelemetry.model import LossReason, Via
from devtelemetry.simulator.compare import Comparison, Figures, together
from devtelemetry.words import percent, points
from devtelemetry.words.losses import LOSS_CLASSES, WAYS
from devtelemetry.words.tables import bare_table

_SHOWN_REASONS = 2  # for each class


def comparison_line(comparison: Comparison) -> str:
    """`2026-03-02T10:00:00Z true 94.67 %, measured 94.73 % (+0.05), 15,951 of 15,960 pairs`"""
    true, measured = comparison.true, comparison.measured
    what = " ".join(filter(None, (comparison.start, comparison.channel_id)))
    if measured is None:
        return f"{what} true {percent(true.delivery_ratio)}, not measured"
    return (
        f"{what} true {percent(true.delivery_ratio)}, measured {percent(measured.delivery_ratio)}"
        f" ({difference(comparison)}), {measured.counts.expected:,} of "
        f"{true.counts.expected:,} pairs"
    )


def difference(comparison: Comparison) -> str:
    """Measured minus true, in percentage points."""
    found = comparison.difference
    return "–" if found is None else points(found)


def comparison_table(title: str, comparisons: Iterable[Comparison]) -> Table:
    """At most 80 columns wide. `counted` are those of the true `pairs` that the server counts."""
    table = bare_table(title=title, gap=2)
    table.add_column("window (UTC)", no_wrap=True)
    table.add_column("channel", no_wrap=True)
    for name in ("true", "measured", "diff", "pairs", "counted"):
        table.add_column(name, justify="right", no_wrap=True)
    for comparison in comparisons:
        measured = comparison.measured
        table.add_row(
            comparison.start[:16].replace("T", " "),
            comparison.channel_id or "all",
            percent(comparison.true.delivery_ratio),
            percent(None if measured is None else measured.delivery_ratio),
            difference(comparison),
            f"{comparison.true.counts.expected:,}",
            "–" if measured is None else f"{measured.counts.expected:,}",
            style=None if comparison.channel_id is None else "dim",
        )
    return table


def stages_table(spans: Mapping[str, Sequence[Comparison]]) -> Table:
    """What became of missing pairs, and how delivered pairs came: true and measured, by span.

    80 columns wide with two spans. The reasons are the measured ones of the last span.
    """
    figures = {name: _beside(comparisons) for name, comparisons in spans.items()}
    table = bare_table(title="What became of the pairs", gap=2)
    table.add_column("pairs", no_wrap=True)
    for name in figures:
        table.add_column(f"{name} true".strip(), justify="right", no_wrap=True)
        table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("reasons given")
    *_, (_, last) = figures.values()
    for stage in stages(last):
        table.add_row(
            stage,
            *(f"{stages(one)[stage]:,}" for both in figures.values() for one in both),
            _because(stage, last.reasons),
        )
    return table


def stages_line(comparison: Comparison) -> str:
    """`true / measured: missing 120 / 121, not arrived 60 / 61, …`"""
    true, measured = map(stages, _beside([comparison]))
    said = ", ".join(f"{stage} {true[stage]:,} / {measured[stage]:,}" for stage in true)
    return f"true / measured: {said}"


def _beside(comparisons: Iterable[Comparison]) -> tuple[Figures, Figures]:
    """The true and the measured figures, added up over the measured comparisons."""
    both = [(one.true, one.measured) for one in comparisons if one.measured is not None]
    return together([true for true, _ in both]), together([measured for _, measured in both])


def stages(of: Figures) -> Mapping[str, int]:
    """The number of pairs by what became of them."""
    counts = of.counts
    return {
        "missing": counts.missing,
        **{name: counts.losses[one] for one, name in LOSS_CLASSES.items()},
        "unsaid": of.unsaid,
        **{WAYS[one]: counts.ways[one] for one in (Via.LIVE, Via.HISTORY, Via.RESENT)},
        "read later": counts.recovered,
    }


def _because(stage: str, reasons: Iterable[LossReason]) -> str:
    """The reasons of the class that is shown as `stage`, as in `no_session_key 30, …`."""
    of = {name: one.value for one, name in LOSS_CLASSES.items()}.get(stage)
    said = [one for one in reasons if one.of == of and one.reason]
    said.sort(key=lambda one: -one.pairs)
    return ", ".join(f"{one.reason} {one.pairs:,}" for one in said[:_SHOWN_REASONS])
