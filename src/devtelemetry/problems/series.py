"""The problems as metrics. No label names the version or channel, because clients make up these
names."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily

from devtelemetry.problems.explain import Kind
from devtelemetry.problems.problem import Problems


def problem_metrics(problems: Problems | None) -> Iterator[GaugeMetricFamily]:
    """Metrics by kind. If `problems` is None or it is too early to tell, there are no series."""
    listed = GaugeMetricFamily(
        "devtelemetry_problems", "Problems that are listed now.", labels=["kind"]
    )
    lost = GaugeMetricFamily(
        "devtelemetry_problems_lost_more_deliveries",
        "Deliveries lost by the listed problems since they began, beyond what was expected.",
        labels=["kind"],
    )
    began = GaugeMetricFamily(
        "devtelemetry_problems_began_timestamp_seconds",
        "When the first listed problem began, in Unix seconds; absent if none is listed.",
        labels=["kind"],
    )
    if problems is not None and problems.can_tell:
        for kind in Kind:
            found = [one for one in problems.found if one.unit.kind is kind]
            listed.add_metric([kind.value], len(found))
            lost.add_metric([kind.value], sum(one.lost_more for one in found))
            if found:
                began.add_metric([kind.value], min(one.began for one in found).timestamp())
    yield from (listed, lost, began)
