"""Errors, by the person who must act. The text of each is one line: what is wrong, what to do.

DevTelemetryError
├── ConfigurationError   the operator: names the setting, its value and what is allowed
├── UnknownName          the caller: there is no such channel, group, receiver or window
├── Busy                 retry later: the queue is full or the rate is used up
├── Unavailable          retry later: the database cannot be reached, or the server is stopping
│   ├── DatabaseAway     the database cannot be reached, or is overloaded
│   │   └── DatabaseReadOnly  the database takes no writes, as after a failover
│   ├── ClockInDoubt     no other clock agrees with the server's
│   └── Overtaken        a newer version of this program changed the database's schema
├── DatabaseError        us: a statement failed, and would fail again
├── EmbeddedError        the operator: why the bundled PostgreSQL cannot be used
└── transfer.TransferError, …   errors of one module, declared there
"""

from collections.abc import Sequence

_SHOWN = 64  # characters of an unknown name
_NAMED = 10  # known names in one error


class DevTelemetryError(Exception):
    """The root of all errors: `str(error)` is one line that a person can act on."""


class ConfigurationError(DevTelemetryError):
    """A setting is missing or wrong."""


class UnknownName(DevTelemetryError):
    """There is no channel, group, receiver or window of that name."""


def unknown_channel(channel_id: str) -> UnknownName:
    return UnknownName(
        f"there is no channel {channel_id[:_SHOWN]!r}; allowed: an id as clients send it, which "
        "`devtelemetry report --json` lists"
    )


def unknown_group(dimension: str, value: str, known: Sequence[str]) -> UnknownName:
    """known: the values of the groups in these windows; an empty one is a value never said."""
    return UnknownName(
        f"there is no {dimension} {value[:_SHOWN]!r} in these windows{_there_are(known)}"
    )


def unknown_version(version: str, known: Sequence[str]) -> UnknownName:
    """known: the versions that receivers have, the most frequent first."""
    return UnknownName(f"no receiver has app version {version[:_SHOWN]!r}{_there_are(known)}")


def _there_are(known: Sequence[str]) -> str:
    named = [repr(one[:_SHOWN]) for one in known if one]
    some = f"; there are {', '.join(named[:_NAMED])}" if named else ""
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return some + more


class Unavailable(DevTelemetryError):
    """The database cannot be reached or the server is stopping; the same call may work later."""


class DatabaseAway(Unavailable):
    """The database cannot be reached, is overloaded, or rolled back.

    detail  the driver's text, for logs and the terminal. It may name hosts and rows, so it is not
            in the text of the error, which clients see
    """

    def __init__(self, detail: str) -> None:
        super().__init__("the database cannot be reached; try again later")
        self.detail = detail


class DatabaseReadOnly(DatabaseAway):
    """The database answers but takes no writes: another host may be the primary by now."""


class ClockInDoubt(Unavailable):
    """No other clock agrees with the server's, so nothing may be decided by it.

    detail  what the clocks say, for the operator; clients do not see it
    """

    def __init__(self, detail: str) -> None:
        super().__init__("the server's clock is in doubt; send again later")
        self.detail = detail


class Overtaken(Unavailable):
    """A newer version of this program changed the schema, so clients must ask another server.

    detail  the database's schema and the known one, for the operator; clients do not see it
    """

    def __init__(self, revision: str | None, known: str) -> None:
        super().__init__("this server is about to be replaced by a newer one; send again")
        self.detail = f"the database has schema {revision}, but this version needs {known}"


def for_operator(error: BaseException) -> str:
    """What is wrong, in one line, with the detail that clients do not see."""
    return getattr(error, "detail", "") or str(error) or type(error).__name__


class DatabaseError(DevTelemetryError):
    """A statement failed and would fail again: a bug of ours. The text is PostgreSQL's."""


class Busy(DevTelemetryError):
    """The server has too much to do; the same call will work after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class EmbeddedError(DevTelemetryError):
    """The bundled PostgreSQL cannot be used; the text says why and what to do."""
