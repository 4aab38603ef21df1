"""Charts over time as the values that an SVG is made of. Pure.

    axes    where lines and labels of the axes are
    pieces  the hint and the link of each part of the width
    line    the delivery ratio
    losses  losses by class
    hours   losses by day and hour of the day

templates/chart.html writes them as HTML. Paths are drawn in a box of WIDTH × HEIGHT, which is
stretched to the size of the page. Labels are outside the box, so letters are not stretched. Their
places are in percent of the width or the height.
"""
