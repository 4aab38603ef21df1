"""A picture of measured and true ratios: a panel for each network, a dot for each channel."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from devtelemetry.simulator.compare import Comparison

COLUMNS = 3
PANEL_INCHES = 2.7
_INK = "#24292f"
_FAINT = "#8c959f"
_DOT = "#0969da"
_WHOLE = "#cf222e"

Panel = tuple[str, Comparison, Sequence[Comparison]]
"""(title of the panel, the whole window, its channels)"""


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Writes an SVG, or another format by the suffix of `path`; equal panels make equal bytes."""
    # Text stays text, ids are not random, and there is no date, so that only real changes show.
    with mpl.rc_context({"svg.hashsalt": "devtelemetry", "svg.fonttype": "none", "font.size": 9}):
        rows = math.ceil(len(panels) / COLUMNS)
        figure = Figure(
            figsize=(COLUMNS * PANEL_INCHES, rows * PANEL_INCHES + 0.5), layout="constrained"
        )
        axes = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).flat
        for ax, panel in zip(axes, panels, strict=False):
            _panel(ax, panel)
        low = min(min(_ratios(one)) for _, whole, channels in panels for one in (whole, *channels))
        axes[0].set(xlim=(low - 0.7, 100.7), ylim=(low - 0.7, 100.7))
        for ax in list(axes)[len(panels) :]:
            ax.set_axis_off()
        figure.supxlabel("true delivery ratio, %", color=_INK)
        figure.supylabel("measured delivery ratio, %", color=_INK)
        figure.savefig(
            path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None
        )


def _panel(ax: Axes, panel: Panel) -> None:
    name, whole, channels = panel
    dots = [_ratios(one) for one in channels]
    ax.axline((100, 100), slope=1, color=_FAINT, linewidth=0.8, zorder=1)
    true, measured = _ratios(whole)
    x, y = zip(*dots, strict=True)
    ax.scatter(x, y, s=18, color=_DOT, alpha=0.6, linewidths=0, zorder=2)
    ax.scatter(
        [true],
        [measured],
        s=48,
        marker="D",
        facecolors="none",
        edgecolors=_WHOLE,
        linewidths=1.4,
        zorder=3,
    )
    ax.set_title(name, loc="left", color=_INK, fontsize=9.5, fontweight="bold")
    ax.text(
        0.04,
        0.95,
        f"true {true:.2f}\nmeasured {measured:.2f}",
        transform=ax.transAxes,
        va="top",
        color=_INK,
        fontsize=8,
    )
    ax.set_aspect("equal")
    ax.locator_params(nbins=4, integer=True)
    ax.tick_params(colors=_FAINT, labelcolor=_INK, labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(_FAINT)


def _ratios(comparison: Comparison) -> tuple[float, float]:
    """The true and the measured ratio, in percent."""
    assert comparison.true.delivery_ratio is not None
    assert comparison.measured is not None
    assert comparison.measured.delivery_ratio is not None
    return 100 * comparison.true.delivery_ratio, 100 * comparison.measured.delivery_ratio
