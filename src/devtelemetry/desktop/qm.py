"""Qt's compiled translations (.qm), as much of the format as a page without plurals needs. Pure.

QTranslator::load reads such a file: a magic number, then sections of a tag, a length and bytes.
Integers are big-endian. Sources: qtranslator.cpp, which reads it, and lrelease, which writes it.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple

_MAGIC = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")
_HASHES, _MESSAGES = 0x42, 0x69  # sections
_END, _TRANSLATION, _SOURCE, _CONTEXT, _COMMENT = b"\1", b"\3", b"\6", b"\7", b"\10"


class Text(NamedTuple):
    """A text of the page, as it is in the code."""

    context: str
    source: str
    comment: str  # tells it from another text with the same words; usually empty


def compiled(words: Mapping[Text, str]) -> bytes:
    """The .qm of these translations."""
    messages = bytearray()
    hashes = []
    for text, translation in words.items():
        hashes.append((_hash(f"{text.source}{text.comment}".encode()), len(messages)))
        messages += b"".join(
            (
                _field(_TRANSLATION, translation.encode("utf-16-be")),
                _field(_COMMENT, text.comment.encode()),
                _field(_SOURCE, text.source.encode()),
                _field(_CONTEXT, text.context.encode()),
                _END,
            )
        )
    # Sorted, because Qt does a binary search.
    places = b"".join(struct.pack(">II", *entry) for entry in sorted(hashes))
    return _MAGIC + _field(bytes([_HASHES]), places) + _field(bytes([_MESSAGES]), bytes(messages))


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + struct.pack(">I", len(content)) + content


def _hash(text: bytes) -> int:
    """The hash of ELF symbol tables; 1 in place of 0."""
    value = 0
    for byte in text:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high & 0xFFFFFFFF
    return value or 1
