"""Sentences on what is shown apart from the figures. Pure."""

from datetime import datetime

from devtelemetry.words.numbers import count
from devtelemetry.words.times import utc


def apart(unconfirmed: int, silent_members: int) -> str:
    """A sentence on messages and members that are not counted; empty if there are none."""
    said = []
    if unconfirmed:
        said.append(
            f"{count(unconfirmed)} {'message' if unconfirmed == 1 else 'messages'} that only "
            "one installation or network reports, more than it is trusted with"
        )
    if silent_members:
        said.append(
            f"{count(silent_members)} {'member' if silent_members == 1 else 'members'} about "
            "whom nothing else is known"
        )
    return f"Not counted: {', and '.join(said)}." if said else ""


def sampled(one_in: int, estimated_messages: int) -> str:
    """A sentence on the sampling of messages; empty if clients report all of them."""
    if one_in == 1:
        return ""
    return (
        f"Clients report only a sample of the messages, down to one in {count(one_in)}, and all "
        f"counts are of that sample. About {count(estimated_messages)} messages were sent."
    )


def failed(timeframe: str, start: datetime, failures: int, error: str) -> str:
    """A sentence on a window that could not be computed."""
    times = "once" if failures == 1 else f"{failures} times"
    return (
        f"The {timeframe} window of {utc(start)} could not be computed, {times} so far. The "
        f"server tries again. {error}"
    )
