"""How values of settings are written: the same way on the command line, in a variable and in the
file.

Each notation is a type for pydantic, which reads and checks the value, and has the texts about it.
Bounds are given with the setting (`ge`, `le`).
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BeforeValidator, PlainValidator, Strict, StringConstraints
from pydantic.fields import FieldInfo

from devtelemetry.model import (
    Listen,
    MembershipPolicy,
    Timeframe,
    parse_duration,
    parse_timeframe,
    write_duration,
)
from devtelemetry.model.links import PLACEHOLDERS, parse_pattern
from devtelemetry.v1.sampling import MOST_ONE_IN, is_rate

LONGEST = timedelta(days=3650)
"""Ten years, so that dates computed with a duration stay within the calendar"""

_SIZE = re.compile(r"(\d{1,12})(B|KiB|MiB|GiB)?")
_SIZE_UNITS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}
_LISTEN = re.compile(r"(?:\[(?P<v6>[^\]\s]+)\]|(?P<host>[^:\s\[\]/]+)):(?P<port>\d{1,5})")
_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}")
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
)
_UNWRITTEN_PORTS = {("http", "80"), ("https", "443")}
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OWN_LABELS = ("timeframe", "state", "platform", "channel")


def written(value: object) -> str:
    """A value as a person would write it."""
    match value:
        case None:
            text = ""
        case bool():
            text = str(value).lower()
        case float() if value.is_integer():
            text = str(int(value))
        case timedelta():
            text = write_duration(value)
        case Timeframe():
            text = value.name
        case tuple():
            text = ",".join(map(written, value))
        case Mapping():
            text = ",".join(f"{name}={written(one)}" for name, one in value.items())
        case _:
            text = str(value)
    return text


@dataclass(frozen=True, slots=True)
class Notation:
    """The texts about how a value is written.

    metavar  the placeholder in --help; empty for an option without a value
    allowed  what is allowed, in errors and in the table of settings; {least} and {most} are the
             setting's bounds
    refused  what the error says of a value that pydantic refuses
    write    turns a value into text
    """

    metavar: str
    allowed: str
    refused: str = "is not known"
    write: Callable[[Any], str] = written


@dataclass(frozen=True, slots=True)
class DefaultText:
    """The default in words, for the table of settings, if it is computed or is not a value."""

    text: str


def notation_of(setting: FieldInfo) -> Notation:
    """The notation that the setting is declared with."""
    return next(item for item in setting.metadata if isinstance(item, Notation))


def allowed_for(setting: FieldInfo) -> str:
    """The allowed values, in words."""
    bounds = {"least": "", "most": ""}
    for item in setting.metadata:
        if isinstance(item, Ge):
            bounds["least"] = written(item.ge)
        elif isinstance(item, Le):
            bounds["most"] = written(item.le)
    return notation_of(setting).allowed.format_map(bounds)


# ------------------------------------------------------------------------- numbers and switches


def _plain(digits: str, kind: Callable[[str], object]) -> BeforeValidator:
    """Takes a text for a number only if it matches `digits`, unlike Python, which accepts 1_000."""

    def parse(value: object) -> object:
        return kind(value) if isinstance(value, str) and re.fullmatch(digits, value) else value

    return BeforeValidator(parse)


def _parse_size(value: object) -> int:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        value = int(match[1]) * _SIZE_UNITS[match[2] or "B"]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("is not a size")
    return value


def _write_size(value: int) -> str:
    name, unit = next((n, u) for n, u in _SIZE_UNITS.items() if value % u == 0)
    return f"{value // unit}{name}"


Switch: TypeAlias = Annotated[bool, Notation("", "true or false", "is neither true nor false")]
WholeNumber: TypeAlias = Annotated[
    int,
    Strict(),  # else TOML's true would be 1
    _plain(r"\d{1,12}", int),
    Notation("NUMBER", "a whole number from {least} to {most}", "is not a whole number"),
]
_Number: TypeAlias = Annotated[float, Strict(), _plain(r"\d{1,9}(\.\d{1,6})?", float), Gt(0)]
Rate: TypeAlias = Annotated[
    _Number, Lt(1e9), Notation("NUMBER", "a number greater than 0", "is not a number")
]
Share: TypeAlias = Annotated[
    _Number, Le(1), Notation("SHARE", "a number from 0 to 1, but not 0", "is not a number")
]
Objective: TypeAlias = Annotated[
    _Number, Lt(1), Notation("SHARE", "a number between 0 and 1, as in 0.995", "is not a number")
]
Size: TypeAlias = Annotated[
    int,
    PlainValidator(_parse_size),
    Notation("SIZE", "a number of B, KiB, MiB or GiB, as in 64MiB", write=_write_size),
]

# ---------------------------------------------------------------------------- times and choices


def _parse_timeframes(value: object) -> tuple[Timeframe, ...]:
    try:
        timeframes = [parse_timeframe(name) for name in _parse_names(value)]
    except ValueError as error:
        # Cut off what is allowed, because the notation says it.
        raise ValueError(f"is wrong: {str(error).partition(';')[0]}") from None
    if not timeframes:
        raise ValueError("names no timeframe")
    if len({timeframe.length for timeframe in timeframes}) < len(timeframes):
        raise ValueError("names one length twice")
    return tuple(sorted(timeframes, key=lambda timeframe: timeframe.length))


def _one_of(values: Iterable[str], refused: str = "is not known") -> Notation:
    return Notation("|".join(values), " or ".join(values), refused)


def _parse_sampling(value: object) -> str | int:
    if value in ("off", "auto"):
        return str(value)
    one_in = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,7}", value) else value
    if not isinstance(one_in, int) or isinstance(one_in, bool) or not is_rate(one_in):
        raise ValueError("is none of these")
    return one_in


SamplingWish: TypeAlias = Annotated[
    str | int,
    PlainValidator(_parse_sampling),
    Notation(
        "off|auto|NUMBER", f"off, auto, or a power of two up to {MOST_ONE_IN}", "is none of these"
    ),
]
Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    Notation("DURATION", "a number and d, h, m, s or ms, as in 90s; {least} to {most}"),
]
Timeframes: TypeAlias = Annotated[
    tuple[Timeframe, ...],
    PlainValidator(_parse_timeframes),
    Notation("TIMEFRAMES", "numbers with m, h, d or w, separated by commas, as in 15m,1h,1d,1w"),
]
Membership: TypeAlias = Annotated[
    MembershipPolicy, _one_of(MembershipPolicy, "is not a membership policy")
]
_Level = Literal["debug", "info", "warning", "error"]
_Format = Literal["console", "json"]
LogLevel: TypeAlias = Annotated[_Level, _one_of(get_args(_Level))]
LogFormat: TypeAlias = Annotated[_Format, _one_of(get_args(_Format))]

# ---------------------------------------------------------------------------- lists and mappings


def _parse_names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",") if value.strip() else []
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError("is not a list of names")
    names = tuple(name.strip() for name in value)
    if "" in names:
        raise ValueError("contains an empty name")
    return names


def _parse_hosts(value: object) -> tuple[str, ...]:
    names = tuple(name.lower() for name in _parse_names(value))
    if not all(_HOST.fullmatch(name) for name in names):
        raise ValueError("contains something that is not a host name")
    return names


def _parse_origins(value: object) -> tuple[str, ...]:
    names = tuple(name.lower() for name in _parse_names(value))
    for name in names:
        match = _ORIGIN.fullmatch(name)
        if match is None or (match["scheme"], match["port"]) in _UNWRITTEN_PORTS:
            raise ValueError(f"is wrong: {name} is not an origin as browsers write it")
    return names


def _parse_addresses(value: object) -> tuple[str, ...]:
    names = _parse_names(value)
    for name in names:
        try:
            ipaddress.ip_address(name)
        except ValueError:
            raise ValueError(f"is wrong: {name} is not an IP address") from None
    return names


def _pairs(value: object, what: str) -> Mapping[str, object]:
    """Reads NAME=VALUE, separated by commas. A mapping is returned as it is."""
    if isinstance(value, Mapping):
        return value
    parts = [part.partition("=") for part in _parse_names(value)]
    pairs = {name.strip(): text.strip() for name, _, text in parts}
    if len(pairs) < len(parts):
        raise ValueError(f"names one {what} twice")
    return pairs


def _parse_labels(value: object) -> dict[str, str]:
    labels = {name: str(text) for name, text in _pairs(value, "label").items()}
    for name, text in labels.items():
        if not _LABEL.fullmatch(name) or name.startswith("__") or not text:
            raise ValueError(f"is wrong: {name}={text} is not a label")
        if name in _OWN_LABELS:
            raise ValueError(f"is wrong: {name} is a label that the series have already")
    return labels


Names: TypeAlias = Annotated[
    tuple[str, ...],
    PlainValidator(_parse_names),
    Notation("NAMES", "names, separated by commas"),
]
Globs: TypeAlias = Annotated[
    tuple[str, ...],
    PlainValidator(_parse_names),
    Notation("GLOBS", "patterns with * and ?, separated by commas"),
]
Hosts: TypeAlias = Annotated[
    tuple[str, ...],
    PlainValidator(_parse_hosts),
    Notation("NAMES", "host names without a port, separated by commas"),
]
Origins: TypeAlias = Annotated[
    tuple[str, ...],
    PlainValidator(_parse_origins),
    Notation(
        "ORIGINS",
        "scheme, host and port as in https://app.example or http://localhost:3000, without a path "
        "and without the scheme's own port, separated by commas",
    ),
]
Addresses: TypeAlias = Annotated[
    tuple[str, ...],
    PlainValidator(_parse_addresses),
    Notation("ADDRESSES", "IP addresses, separated by commas"),
]
Lateness: TypeAlias = Annotated[
    Mapping[
        str, Annotated[timedelta, BeforeValidator(parse_duration), Ge(timedelta(0)), Le(LONGEST)]
    ],
    BeforeValidator(partial(_pairs, what="timeframe")),
    Notation("LATENESS", "TIMEFRAME=DURATION, separated by commas, as in 1d=6h,1w=24h"),
]
Labels: TypeAlias = Annotated[
    Mapping[str, str],
    PlainValidator(_parse_labels),
    Notation("LABELS", "NAME=VALUE, separated by commas, as in deployment=test"),
]

# ------------------------------------------------------------------------------ paths and places


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _parse_listen(value: object) -> Listen:
    if isinstance(value, Listen):
        return value
    match = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match["port"]) > 65535:
        raise ValueError("is not an address to listen on")
    return Listen(match["v6"] or match["host"], int(match["port"]))


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("is not an HTTP URL")
    if "@" in parts.netloc:
        raise ValueError("contains a login")
    return value


def _check_store_url(value: str) -> str:
    try:
        return _check_url(value)
    except ValueError as error:
        hint = ", which belongs in the file that remote_write_headers names"
        raise ValueError(f"{error}{hint if 'login' in str(error) else ''}") from None


def _check_public_url(value: str) -> str:
    parts = urlsplit(_check_url(value.removesuffix("/")))
    if parts.path or parts.query or parts.fragment:
        raise ValueError("has a path; pages are served from the root of a host")
    return f"{parts.scheme}://{parts.netloc}"


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("begins with the home directory of an account that has none") from None


_Path: TypeAlias = Annotated[Path, AfterValidator(_at_home)]
Directory: TypeAlias = Annotated[
    _Path, BeforeValidator(_none_if_empty), Notation("DIRECTORY", "a path", "is not a path")
]
File: TypeAlias = Annotated[
    _Path | None, BeforeValidator(_none_if_empty), Notation("FILE", "a path", "is not a path")
]
Address: TypeAlias = Annotated[
    Listen,
    PlainValidator(_parse_listen),
    Notation("HOST:PORT", "HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080; port 0: any free port"),
]
DatabaseUrl: TypeAlias = Annotated[
    Annotated[str, StringConstraints(pattern="^postgres(ql)?://")] | None,
    BeforeValidator(_none_if_empty),
    Notation("URL", "postgresql://USER:PASSWORD@HOST:PORT/NAME", "is not a PostgreSQL URL"),
]
LinkPattern: TypeAlias = Annotated[
    Annotated[str, AfterValidator(parse_pattern)] | None,
    BeforeValidator(_none_if_empty),
    Notation(
        "URL",
        "a URL with http:// or https://, with at least one of "
        + ", ".join(f"{{{{{name}}}}}" for name in PLACEHOLDERS)
        + ", none of them in the host",
        "is not a pattern for links",
    ),
]
StoreUrl: TypeAlias = Annotated[
    Annotated[str, AfterValidator(_check_store_url)] | None,
    BeforeValidator(_none_if_empty),
    Notation(
        "URL",
        "a URL with http:// or https://, as in http://127.0.0.1:9090/api/v1/write, without a login",
        "is not a URL",
    ),
]
WebhookUrl: TypeAlias = Annotated[
    Annotated[str, AfterValidator(_check_url)] | None,
    BeforeValidator(_none_if_empty),
    Notation(
        "URL",
        "a URL with http:// or https://, as in https://hooks.example/secret, without a login",
        "is not a URL",
    ),
]
PublicUrl: TypeAlias = Annotated[
    Annotated[str, AfterValidator(_check_public_url)] | None,
    BeforeValidator(_none_if_empty),
    Notation(
        "URL",
        "http:// or https:// with only a host, as in https://telemetry.example",
        "is not a URL",
    ),
]
