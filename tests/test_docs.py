"""The pages of docs/ are complete: they have all metrics and reasons, and no dead link."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from devtelemetry.api.app import clock_metrics, public_metrics, window_metrics
from devtelemetry.causes.classify import LossPattern
from devtelemetry.estimate.verdict import Word
from devtelemetry.figures.audits import audit_metrics
from devtelemetry.figures.budget import objective_metrics
from devtelemetry.ingest.statusgo import Refused
from devtelemetry.model import (
    OBJECTIVE,
    Dimension,
    LossClass,
    MembershipPolicy,
    Reason,
    WindowState,
)
from devtelemetry.problems.series import problem_metrics
from devtelemetry.results.columns import COLUMNS
from devtelemetry.runtime import metrics

ROOT = Path(__file__).parents[1]
METRICS_PAGE = ROOT / "docs" / "metrics.md"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for room in ("docs", "examples", "tests") for page in (ROOT / room).rglob("*.md")),
    ]
)

FILES = [
    str(path)
    for room in ("src", "tests", "bench", "deploy", "examples", "proto", "scripts", "docs")
    for path in (ROOT / room).rglob("*")
    if path.is_file()
]

_NAMED_FILE = re.compile(r"`([\w/.-]+\.(?:py|sql|qml|proto|yml))`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SOURCES = {".py", ".sql", ".qml", ".yml", ".yaml", ".json", ".service", ".sh"}
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def metric_rows() -> list[str]:
    """The lines of the table in docs/metrics.md, made from the program."""
    own = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    rows = []
    for metric in own:
        (family,) = metric.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    for family in (
        *window_metrics([]),
        *clock_metrics(None),
        *audit_metrics([]),
        *objective_metrics(OBJECTIVE, None),
        *problem_metrics(None),
        *public_metrics(None),
    ):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in family._labelnames)
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return rows


def test_the_page_of_metrics_has_every_metric_as_it_is_declared_and_no_other() -> None:
    rows = metric_rows()
    assert len(rows) > 20
    page = METRICS_PAGE.read_text(encoding="utf-8")
    on_the_page = [line for line in page.splitlines() if line.startswith("| `devtelemetry_")]
    assert on_the_page == rows, "these are the lines:\n" + "\n".join(rows)


def test_the_page_of_metrics_says_what_values_each_label_has() -> None:
    service = METRICS_PAGE.read_text(encoding="utf-8").partition("\n## The service\n")[2]
    (table,) = re.findall(r"^\| label \|.*\n\|.*\n((?:\|.*\n)+)", service, re.MULTILINE)
    own = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    labels = {label for metric in own for label in metric._labelnames}
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(labels)


def test_no_metric_has_a_label_that_a_scrape_renames() -> None:
    """Prometheus sets these labels itself, and would rename a metric's own to exported_job, …"""
    for row in metric_rows():
        labels = row.split("|")[3]
        assert "`job`" not in labels, row
        assert "`instance`" not in labels, row


def test_the_page_of_metrics_has_every_reason_and_no_other() -> None:
    page = METRICS_PAGE.read_text(encoding="utf-8")
    section = page.partition("## Reasons")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(told) == sorted({*(r.label for r in Reason), *(r.value for r in Refused)})


def test_the_glossary_has_every_figure_and_every_word_that_programs_read() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    figures = [column.json for column in COLUMNS if column.json is not None]
    words = (*Dimension, *MembershipPolicy, *WindowState, *LossClass, *LossPattern, *Word)
    assert [name for name in (*figures, *words) if f"`{name}`" not in glossary] == []


def links(page: Path) -> Iterator[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_to_another_page_leads_there(page: Path) -> None:
    for target in links(page):
        path, _, fragment = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target} leads nowhere"
        assert linked.is_relative_to(ROOT), f"{target} leads out of the repository"
        if fragment:
            headings = _HEADING.findall(linked.read_text(encoding="utf-8"))
            assert fragment in map(anchor, headings), f"{target}: no such heading"


def test_every_page_is_in_an_index() -> None:
    indexes = [ROOT / "docs" / "README.md", ROOT / "docs" / "evidence" / "README.md"]
    linked = {(index.parent / target).resolve() for index in indexes for target in links(index)}
    decisions = ROOT / "docs" / "adr"
    assert decisions in linked
    pages = [page for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert [
        page
        for page in pages
        if page not in linked and page.parent != decisions and page not in indexes
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_files_that_exist(page: Path) -> None:
    """A page may name a file by the end of its path: `ingest/check.py`, or only `check.py`."""
    named = set(_NAMED_FILE.findall(page.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not any(f.endswith(f"/{name}") for f in FILES)] == []


def test_the_program_names_only_pages_that_exist() -> None:
    """Code, SQL and deployment files name pages of docs/, which must be renamed together."""
    rooms = ("src", "tests", "bench", "deploy", "examples")
    sources = [
        ROOT / "Makefile",
        *(path for room in rooms for path in (ROOT / room).rglob("*") if path.suffix in _SOURCES),
    ]
    named = {
        name
        for source in sources
        for name in re.findall(r"\bdocs/[\w/\-]+\.md", source.read_text(encoding="utf-8"))
    }
    assert named, "the code names its pages"
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_nobody_is_told_to_install_what_is_on_no_package_index() -> None:
    """Otherwise a stranger who takes that name on the index could have code installed."""
    said = [*PAGES, *(ROOT / "src" / "devtelemetry").rglob("*.py")]
    advice = re.compile(r"pip install (?:-\S+ )*[\"']?devtelemetry\b")
    assert [path for path in said if advice.search(path.read_text(encoding="utf-8"))] == []


def test_the_server_is_run_from_where_it_was_installed() -> None:
    """Pages for operators give the whole path, because nothing puts the program on the PATH."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    bare = re.findall(r"^    devtelemetry .*$", text, re.MULTILINE)
    assert bare == []
