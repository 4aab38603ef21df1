"""From samples to figures.

rules      how windows are computed
due        decides which windows are due (pure); find_due reads what it needs for that
cleaned    days whose windows are not computed any more
algorithm  one window: kind_of_window.sql, held.sql, authored.sql, reliability.sql, rollup.sql
pulled     on a cluster: copies what the algorithm's statements read again
rollup     turns the rows of rollup.sql into rows of results (pure)
summarize  a window from its channels (pure)
compute    runs all of it, for the windows that are due or for one window
"""
