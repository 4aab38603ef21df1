"""From samples to figures.

windows (pure: which are due) → repair (rows that later samples proved wrong) → aggregate (the
algorithm, reliability.sql, for each window that is due).
"""
