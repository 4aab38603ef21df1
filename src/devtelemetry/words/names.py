"""Names of things, and texts in place of a figure. Pure."""

from collections.abc import Mapping

from devtelemetry.estimate.verdict import Verdict, Word
from devtelemetry.model import Dimension, WindowReliability
from devtelemetry.words.texts import shorten, visible

TOO_FEW = "too few to say"
NOT_COMPARABLE = "not comparable"
NOTHING_TO_COMPARE = "nothing to compare"
NOT_COMPUTED = "not yet computed"
NOT_KNOWN = "not known"
NOT_SAID = "not said"
NO_REPORTERS = "no reporters"
MISSING_MESSAGES = "Missing messages"
LOSSY_RECEIVERS = "Receivers that lack messages"
NO_TABLE = "Nothing was expected in this window, or too few receivers or authors are in it."
"""In place of a table of two dimensions"""

NO_GROUPS = (
    "No window has a breakdown: too few receivers report, or the windows were computed before "
    "there were breakdowns."
)

GROUP_NOT_SAID = "(not said)"
"""In place of a value that receivers never reported. Also a label of series, so never change it"""

GROUP_OTHER = "(other)"
"""In place of the groups that have too few receivers to be shown. Also a label of series"""

DIMENSIONS: Mapping[Dimension, str] = {
    Dimension.PLATFORM: "platform",
    Dimension.APP_VERSION: "app version",
    Dimension.MESSAGE_TYPE: "message type",
    Dimension.AUTHOR_PLATFORM: "author's platform",
    Dimension.AUTHOR_APP_VERSION: "author's app version",
    Dimension.PATH: "path",
}

LOSS_PATTERNS: Mapping[str, str] = {
    "lost_by_everyone": "by everyone",
    "burst": "in a burst",
    "lost_by_one": "by one",
    "scattered": "scattered",
}
"""What follows the word `lost`, by pattern of loss"""


def group(value: str | None, width: int | None = None) -> str:
    """The name of a group, in at most `width` characters. A client's text is made harmless."""
    if value is None:
        return GROUP_OTHER
    return (visible(value) if width is None else shorten(value, width)) or GROUP_NOT_SAID


def verdict(found: Verdict | None) -> str:
    """`worse by 0.81 points`"""
    if found is None:
        return TOO_FEW
    if found.word is Word.CANNOT_TELL:
        return found.word.value
    return f"{found.word.value} by {abs(100 * found.difference.estimate):.2f} points"


def without_ratio(window: WindowReliability) -> str:
    """The text for a window without a comparable channel. It must be read with its channels.

    A channel has a row if a receiver that counts was in it when a message was sent.
    """
    return NOT_COMPARABLE if window.channels else NOTHING_TO_COMPARE
