"""Charts over time as values: what an SVG is made of, in shares of its width and height. Pure.

    axes    where lines and labels of the axes stand
    pieces  what each part of the width says, and where it leads
    line    the delivery ratio
    losses  what was lost, by kind
    hours   what was lost, hours by days

templates/chart.html writes them down. Numbers of paths are in a box of WIDTH × HEIGHT that is
stretched to the size of the page; letters are not, since they stand beside it.
"""
