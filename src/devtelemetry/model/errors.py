"""Errors, by who must act. The text of each is one line that says what is wrong and what to do.

DevTelemetryError
├── ConfigurationError   the operator: names the setting, its value and what is allowed
├── UnknownName          who asked: there is no such channel, group, receiver or window
├── Busy                 retry later: the queue is full or the rate is used up
├── Unavailable          retry later: the database cannot be reached, or the server stops
│   ├── DatabaseAway     it is the database
│   │   └── DatabaseReadOnly  it takes no writes, as after a failover
│   ├── ClockInDoubt     it is the server's clock, which no other one agrees with
│   └── Overtaken        a newer version of this program changed the database's schema
├── DatabaseError        us: a statement failed that will fail again
├── EmbeddedError        the operator: why the bundled PostgreSQL cannot be had
└── transfer.TransferError, …   errors of one module, declared there
"""

from collections.abc import Sequence

_SHOWN = 64  # characters of a name that nobody knows
_NAMED = 10  # of those that are known


class DevTelemetryError(Exception):
    """The root: `str(error)` is one line a person can act on."""


class ConfigurationError(DevTelemetryError):
    """A setting is missing or wrong."""


class UnknownName(DevTelemetryError):
    """What was asked for by a name is not there: a channel, group, receiver or window."""


def unknown_channel(channel_id: str) -> UnknownName:
    return UnknownName(
        f"there is no channel {channel_id[:_SHOWN]!r}; allowed: an id as clients send it, which "
        "`devtelemetry report --json` lists"
    )


def unknown_group(dimension: str, value: str, known: Sequence[str]) -> UnknownName:
    """known: what these windows are broken down into; empty: what did not say it."""
    return UnknownName(
        f"there is no {dimension} {value[:_SHOWN]!r} in these windows{_there_are(known)}"
    )


def unknown_version(version: str, known: Sequence[str]) -> UnknownName:
    """known: those that receivers have, the most frequent first."""
    return UnknownName(f"no receiver has app version {version[:_SHOWN]!r}{_there_are(known)}")


def _there_are(known: Sequence[str]) -> str:
    named = [repr(one[:_SHOWN]) for one in known if one]
    some = f"; there are {', '.join(named[:_NAMED])}" if named else ""
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return some + more


class Unavailable(DevTelemetryError):
    """The database cannot be reached or the server is stopping; the same call may work later."""


class DatabaseAway(Unavailable):
    """The database cannot be reached, has too much to do, or rolled back.

    detail  what the driver said. For logs and the terminal: it may name hosts and rows, so the
            text of the error, which clients are shown, is without it
    """

    def __init__(self, detail: str) -> None:
        super().__init__("the database cannot be reached; try again later")
        self.detail = detail


class DatabaseReadOnly(DatabaseAway):
    """It answers, and takes no writes: another host may be the primary by now."""


class ClockInDoubt(Unavailable):
    """No other clock agrees with the server's, so that nothing may be decided by its time.

    detail  what the clocks say, for the operator; clients are not told
    """

    def __init__(self, detail: str) -> None:
        super().__init__("the server does not know the time; send again later")
        self.detail = detail


class Overtaken(Unavailable):
    """A newer version of this program changed the schema: another server must be asked.

    detail  which schema there is and which is known, for the operator; clients are not told
    """

    def __init__(self, revision: str | None, known: str) -> None:
        super().__init__("this server waits to be replaced by a newer one; send again")
        self.detail = f"the database has schema {revision}, this version needs {known}"


def for_operator(error: BaseException) -> str:
    """What is wrong, in one line, with what clients are not told."""
    return getattr(error, "detail", "") or str(error) or type(error).__name__


class DatabaseError(DevTelemetryError):
    """A statement failed and would fail again: a fault of ours. The text is PostgreSQL's."""


class Busy(DevTelemetryError):
    """Too much at once; the same call will work after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class EmbeddedError(DevTelemetryError):
    """The bundled PostgreSQL cannot be had; the text says why and what to do."""
