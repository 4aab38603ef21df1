"""From samples to figures.

rules      how windows are computed
due        which windows are due (pure); find_due reads what that is decided by
cleaned    days of which no window is computed any more
algorithm  one window: kind_of_window.sql, held.sql, authored.sql, reliability.sql, rollup.sql
pulled     what its statements read again, on a cluster
rollup     their rows as rows of results (pure)
summarize  a window from its channels (pure)
compute    all of it, for those that are due or for one
"""
