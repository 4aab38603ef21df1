"""Turns what was read into the content of a page, as values. Pure.

    values    the values themselves
    overview  changes  subject  channels  window  missing   make the pages
    parts     what several pages have

The values have finished texts (from the room `words`). Figures are computed in figures.derive.
"""
