"""The objective as a file for tools that make alert rules from it: Sloth and OpenSLO. Pure."""

from collections.abc import Mapping
from enum import StrEnum


class Format(StrEnum):
    SLOTH = "sloth"
    OPENSLO = "openslo"


# max, not sum, because each server of a database exposes the same counts.
_SLOTH = """\
# Made by `devtelemetry slo sloth`: https://sloth.dev, version prometheus/v1.
version: prometheus/v1
service: devtelemetry
slos:
  - name: deliveries
    objective: {percent}
    description: Messages that arrive, of those that can be judged, in settled windows.
    sli:
      events:
        error_query: >-
          max(increase(devtelemetry_deliveries_total[{{{{.window}}}}]))
          - max(increase(devtelemetry_good_deliveries_total[{{{{.window}}}}]))
        total_query: max(increase(devtelemetry_deliveries_total[{{{{.window}}}}]))
    alerting:
      name: DevTelemetryDeliveries
      page_alert:
        labels: {{severity: critical}}
      ticket_alert:
        labels: {{severity: warning}}
"""
_OPENSLO = """\
# Made by `devtelemetry slo openslo`: https://openslo.com, version openslo/v1.
apiVersion: openslo/v1
kind: SLO
metadata:
  name: devtelemetry-deliveries
spec:
  description: Messages that arrive, of those that can be judged, in settled windows.
  service: devtelemetry
  indicator:
    metadata:
      name: devtelemetry-deliveries
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Prometheus
            spec: {{query: max(devtelemetry_good_deliveries_total)}}
        total:
          metricSource:
            type: Prometheus
            spec: {{query: max(devtelemetry_deliveries_total)}}
  timeWindow:
    - duration: 30d
      isRolling: true
  budgetingMethod: Occurrences
  objectives:
    - displayName: delivered
      target: {share}
"""
_TEXTS: Mapping[Format, str] = {Format.SLOTH: _SLOTH, Format.OPENSLO: _OPENSLO}


def slo_file(kind: Format, objective: float) -> str:
    """YAML. objective: between 0 and 1"""
    return _TEXTS[kind].format(percent=f"{100 * objective:.10g}", share=f"{objective:.10g}")
