"""From samples to figures.

windows (pure: which are due) → aggregate (the algorithm, reliability.sql, for each of them, over
repaired rows).
"""
