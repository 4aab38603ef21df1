"""What deploy/ has for Prometheus and Grafana, and the metrics that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"

_ROW = re.compile(r"^\| `(devtelemetry_\w+)` \| (\w+) \|", re.MULTILINE)
_NAME = re.compile(r"\bdevtelemetry[_:][\w:]+")
_QUOTED = re.compile(r'"[^"]*"')


def metric_names() -> set[str]:
    """Every series that the program has: those of docs/metrics.md, which a test holds to it."""
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
    """The metrics and recorded series of an expression in PromQL."""
    return set(_NAME.findall(_QUOTED.sub('""', expression)))
