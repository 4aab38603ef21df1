"""The stored figures, as every reader of them sees them: report, JSON, metrics, dashboard.

    read      from the database
    derive    pure: ratios and their intervals, verdicts, delays, sums over windows
    series    as Prometheus has them
    document  JSON, as docs/protocol.md has it

A figure is derived here once; who shows it only writes it down.
"""
