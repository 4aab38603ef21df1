"""What is computed of windows, channels and groups, and how it is stored.

columns  the one list of it (pure)
rows     rows of the tables as values (pure)
sums     of channels and of windows (pure)
store    writes a window; its revision goes up if a figure changed
"""
