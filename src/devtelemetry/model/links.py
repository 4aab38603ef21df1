"""A link to another program's page about a message, made from a pattern. No I/O."""

from collections.abc import Mapping
from string import Formatter
from urllib.parse import quote, urlsplit

PLACEHOLDERS = ("message_id", "channel_id", "sent_at", "sent_at_ms")
"""sent_at: ISO 8601 with milliseconds, in UTC; sent_at_ms: Unix ms"""


def parse_pattern(text: str) -> str:
    """Returns the pattern unchanged. Raises ValueError with what is wrong with it."""
    try:
        pieces = list(Formatter().parse(text))
    except ValueError:
        raise ValueError("has a single brace; a literal { is written {{") from None
    names = []
    for _, name, form, conversion in pieces:
        if name is None:
            continue
        if name not in PLACEHOLDERS or form or conversion:
            raise ValueError(f"has {{{name}}}, which is not a placeholder")
        names.append(name)
    if not names:
        raise ValueError("has no placeholder, so all links would be the same")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is not an HTTP URL")
    if "@" in parts.netloc:
        raise ValueError("contains a login, which everybody who opens a page would see")
    if "{" in parts.netloc:
        raise ValueError("has a placeholder in the host")
    if any(not letter.isprintable() or letter.isspace() for letter in text):
        raise ValueError("contains a character that no URL has")
    return text


def fill(pattern: str, values: Mapping[str, str]) -> str:
    """The link. Clients sent the values, so each is quoted and stays one part of the URL."""
    quoted = {name: quote(value, safe="", errors="replace") for name, value in values.items()}
    return pattern.format_map(quoted)
