"""Values of options that several commands take."""

from datetime import datetime

from devtelemetry.model import Timeframe, parse_moment, parse_timeframe
from devtelemetry.settings.errors import BadOption


def moment(option: str, text: str | None) -> datetime | None:
    """Reads the time in an option. Raises BadOption, which names the option."""
    if text is None:
        return None
    try:
        return parse_moment(text)
    except ValueError as error:
        raise BadOption(f"{option}: {error}") from None


def span(from_: str | None, to: str | None) -> tuple[datetime | None, datetime | None]:
    """Reads --from and --to. Raises BadOption if nothing lies between them."""
    start, end = moment("--from", from_), moment("--to", to)
    if start is not None and end is not None and start >= end:
        raise BadOption(
            f"--from: {from_} is not before --to {to}; allowed: an earlier time than --to"
        )
    return start, end


def timeframe_name(text: str | None) -> str | None:
    """The name of the timeframe in --timeframe. Raises BadOption."""
    return None if text is None else parsed_timeframe(text).name


def parsed_timeframe(text: str) -> Timeframe:
    """The timeframe in --timeframe. Raises BadOption."""
    try:
        return parse_timeframe(text)
    except ValueError as error:
        raise BadOption(f"--timeframe: {error}") from None
