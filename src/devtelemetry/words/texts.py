"""What clients sent, as a person may see it: nothing acts on a screen or hides. Pure."""

import re
import unicodedata

_JOINERS = "\u200c\u200d"
# What joins emoji to families, and shapes letters of Persian, Arabic and Indian scripts. Between
# other letters it would make two names that look the same.
_JOINED = frozenset({"So", "Sk", "Lo", "Mn", "Mc"})

# A letter with its marks and what is joined to it, a flag, or a code as `escaped` writes it: it is
# not cut in two.
_UNIT = re.compile(
    r"\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|[\U0001f1e6-\U0001f1ff]{2}"
    r"|.(?:[\u0300-\u036f\ufe0f\U0001f3fb-\U0001f3ff]|\u200d.)*",
    re.DOTALL,
)


def visible(text: str) -> str:
    """What is no printable letter, as what turns text around, is written as its code: `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or _joins(text, at) else escaped(letter)
        for at, letter in enumerate(text)
    )


def shorten(text: str, width: int) -> str:
    """The same in `width` letters at most: a long one goes without its middle."""
    text = visible(text)
    if len(text) <= width:
        return text
    half = (width - 1) // 2
    units = _UNIT.findall(text)
    return f"{_up_to(half, units)}…{_up_to(half, units[::-1], from_end=True)}"


def _up_to(width: int, units: list[str], *, from_end: bool = False) -> str:
    """The first ones that together have so many letters at most."""
    taken: list[str] = []
    for unit in units:
        width -= len(unit)
        if width < 0:
            break
        taken.append(unit)
    return "".join(taken[::-1] if from_end else taken)


def _joins(text: str, at: int) -> bool:
    """Whether it is a joiner between two letters that it is for."""
    return (
        text[at] in _JOINERS
        and 0 < at < len(text) - 1
        and all(unicodedata.category(text[beside]) in _JOINED for beside in (at - 1, at + 1))
    )


def escaped(letter: str) -> str:
    r"""`\u202e`, or `\U000e0001`: it can be read back"""
    number = ord(letter)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
