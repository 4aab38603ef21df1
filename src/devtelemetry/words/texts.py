"""Clients' texts, made safe to show: nothing in them controls the screen or is invisible. Pure."""

import re
import unicodedata

_JOINERS = "\u200c\u200d"
# Joiners join emoji to families, and shape letters of Persian, Arabic and Indian scripts. Between
# other letters they would make two names that look the same, so they are escaped there.
_JOINED = frozenset({"So", "Sk", "Lo", "Mn", "Mc"})

# What must not be cut in two: a letter with its marks and joined letters, a flag, or a code made by
# `escaped`.
_UNIT = re.compile(
    r"\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|[\U0001f1e6-\U0001f1ff]{2}"
    r"|.(?:[\u0300-\u036f\ufe0f\U0001f3fb-\U0001f3ff]|\u200d.)*",
    re.DOTALL,
)


def visible(text: str) -> str:
    """The text with codes in place of unprintable characters, such as `\\u202e`, which turns text
    around."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or _joins(text, at) else escaped(letter)
        for at, letter in enumerate(text)
    )


def shorten(text: str, width: int) -> str:
    """The visible text in at most `width` characters; a long text is cut in the middle."""
    text = visible(text)
    if len(text) <= width:
        return text
    half = (width - 1) // 2
    units = _UNIT.findall(text)
    return f"{_up_to(half, units)}…{_up_to(half, units[::-1], from_end=True)}"


def _up_to(width: int, units: list[str], *, from_end: bool = False) -> str:
    """The first units (from the end: the last ones) that fit into `width` characters."""
    taken: list[str] = []
    for unit in units:
        width -= len(unit)
        if width < 0:
            break
        taken.append(unit)
    return "".join(taken[::-1] if from_end else taken)


def _joins(text: str, at: int) -> bool:
    """Whether the character is a joiner between two letters that joiners are for."""
    return (
        text[at] in _JOINERS
        and 0 < at < len(text) - 1
        and all(unicodedata.category(text[beside]) in _JOINED for beside in (at - 1, at + 1))
    )


def escaped(letter: str) -> str:
    r"""`\u202e`, or `\U000e0001`: the code of a character, which Python can read back"""
    number = ord(letter)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
