"""The stored figures, as the report, the JSON, the metrics and the dashboard all show them.

    read      reads them from the database
    derive    pure: ratios and their intervals, verdicts, delays, sums over windows
    series    the Prometheus series
    document  the JSON of docs/protocol.md

Each figure is derived once, here. The other rooms only show it.
"""
