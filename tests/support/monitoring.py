"""The files of deploy/ for Prometheus and Grafana, and the metrics of the program."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"

_ROW = re.compile(r"^\| `(devtelemetry_\w+)` \| (\w+) \|", re.MULTILINE)
_NAME = re.compile(r"\bdevtelemetry[_:][\w:]+")
_QUOTED = re.compile(r'"[^"]*"')


def metric_names() -> set[str]:
    """Every series of the program, by docs/metrics.md; another test checks that page."""
    names = set()
    for name, kind in _ROW.findall((ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")):
        names |= (
            {f"{name}_{part}" for part in ("bucket", "count", "sum")}
            if (kind == "histogram")
            else {name}
        )
    assert len(names) > 30
    return names


def names_in(expression: str) -> set[str]:
    """The metrics and recorded series in a PromQL expression."""
    return set(_NAME.findall(_QUOTED.sub('""', expression)))
