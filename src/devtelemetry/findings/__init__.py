"""Findings: faults in how apps report, such as reports that cannot be true.

    kinds  what can be found, by which rule, and what to do about it
    look   looks at the latest receipts after windows were computed, and stores what it finds
    read   reads what was found, for the report, the dashboard and JSON

A figure is only as good as the reports of apps. Each kind of finding is a rule over counts;
docs/messengers.md explains the kinds. A page shows stored findings and reads no samples.
"""
