"""What is computed for windows, channels and groups, and how it is stored.

columns  the one list of all figures (pure)
rows     rows of the tables as values (pure)
sums     sums of counts, over channels and over windows (pure)
store    writes a window; its revision goes up if a figure changed
"""
