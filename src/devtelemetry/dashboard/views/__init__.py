"""What a page says, as values: from what was read to what is written down. Pure.

    values    the values themselves
    overview  changes  channel  window  missing   how each page is made
    parts     what they share

Texts are finished (words.py); figures are not computed here (figures.derive).
"""
