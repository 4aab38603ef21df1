"""Every setting: what it is, its default and unit, and why one would change it.

A value is looked for in this order: command line option, environment variable DEVTELEMETRY_<NAME>,
the TOML file of `--config` or DEVTELEMETRY_CONFIG, the default below. It is written the same way in
all of them. docs/settings.md is made from this file (`devtelemetry settings`).
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from devtelemetry.model import (
    Listen,
    MembershipPolicy,
    Timeframe,
    parse_duration,
    parse_timeframe,
    write_duration,
)
from devtelemetry.model.errors import ConfigurationError

ENVIRONMENT_PREFIX = "DEVTELEMETRY_"

_T = TypeVar("_T")

_LONGEST = timedelta(days=3650)  # ten years: dates that are computed with it stay in the calendar
_SIZE = re.compile(r"(\d{1,12})(B|KiB|MiB|GiB)?")
_SIZE_UNITS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OWN_LABELS = ("timeframe", "state", "platform", "channel")
_SWITCH = {"true": True, "yes": True, "on": True, "1": True}
_SWITCH |= {"false": False, "no": False, "off": False, "0": False}


class BadOption(ConfigurationError):
    """A setting is wrong, and it was given on the command line: a usage error."""


@dataclass(frozen=True, slots=True)
class Notation(Generic[_T]):
    """How a value is written: the one parser for command line, environment and file.

    allowed  for a person, in errors and in the table of settings
    parse    takes the text, or the value itself; raises ValueError
    write    the text of a value
    """

    allowed: str
    metavar: str
    parse: Callable[[object], _T]
    write: Callable[[_T], str]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)


@dataclass(frozen=True, slots=True)
class DefaultText:
    """What the table of settings says where a default is computed, or is no value."""

    text: str


# ---------------------------------------------------------------------------------- notations


def _duration(least: timedelta) -> Notation[timedelta]:
    def parse(value: object) -> timedelta:
        duration = parse_duration(value)
        if not least <= duration <= _LONGEST:
            raise ValueError("is out of range")
        return duration

    return Notation(
        "a number and d, h, m, s or ms, as in 90s; "
        f"{write_duration(least)} to {write_duration(_LONGEST)}",
        "DURATION",
        parse,
        write_duration,
    )


def _parse_size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError("is no size")
    return int(match[1]) * _SIZE_UNITS[match[2] or "B"]


def _write_size(value: int) -> str:
    name, unit = next((n, u) for n, u in _SIZE_UNITS.items() if value % u == 0)
    return f"{value // unit}{name}"


def _count(least: int, most: int) -> Notation[int]:
    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"\d{1,12}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("is no whole number")  # noqa: TRY004 - what pydantic takes for invalid
        if not least <= value <= most:
            raise ValueError("is out of range")
        return value

    return Notation(f"a whole number from {least} to {most}", "NUMBER", parse, str)


def _parse_rate(value: object) -> float:
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}(\.\d{1,6})?", value):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("is no number")  # noqa: TRY004 - what pydantic takes for invalid
    if not 0 < value < 1e9:
        raise ValueError("is out of range")
    return float(value)


def _parse_share(value: object) -> float:
    share = _parse_rate(value)
    if share > 1:
        raise ValueError("is out of range")
    return share


def _write_rate(value: float) -> str:
    return str(int(value)) if value.is_integer() else str(value)


def _parse_switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _SWITCH:
        return _SWITCH[value.lower()]
    raise ValueError("is neither true nor false")


def _choice(*allowed: str) -> Notation[str]:
    def parse(value: object) -> str:
        if value not in allowed:
            raise ValueError("is not known")
        return str(value)

    return Notation(" or ".join(allowed), "|".join(allowed), parse, str)


def _parse_membership(value: object) -> MembershipPolicy:
    try:
        return MembershipPolicy(value)  # type: ignore[arg-type]
    except ValueError:
        raise ValueError("is no membership policy") from None


def _parse_listen(value: object) -> Listen:
    if isinstance(value, Listen):
        return value
    match = isinstance(value, str) and re.fullmatch(
        r"(?:\[(?P<v6>[^\]\s]+)\]|(?P<host>[^:\s\[\]/]+)):(?P<port>\d{1,5})", value
    )
    if not match or int(match["port"]) > 65535:
        raise ValueError("is no address to listen on")
    return Listen(match["v6"] or match["host"], int(match["port"]))


def _parse_url(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.startswith(("postgresql://", "postgres://")):
        return value
    raise ValueError("is no URL of a PostgreSQL")


def _parse_path(value: object) -> Path:
    if not isinstance(value, str | Path) or value == "":
        raise ValueError("is no path")
    return Path(value).expanduser()


def _parse_file(value: object) -> Path | None:
    return None if value is None or value == "" else _parse_path(value)


def _parse_names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",") if value.strip() else []
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError("is no list of names")
    names = tuple(name.strip() for name in value)
    if "" in names:
        raise ValueError("has an empty name in it")
    return names


def _parse_hosts(value: object) -> tuple[str, ...]:
    names = tuple(name.lower() for name in _parse_names(value))
    if not all(re.fullmatch(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}", name) for name in names):
        raise ValueError("has something in it that is no host name")
    return names


def _parse_timeframes(value: object) -> tuple[Timeframe, ...]:
    if isinstance(value, tuple) and all(isinstance(one, Timeframe) for one in value):
        timeframes: tuple[Timeframe, ...] = value
    else:
        try:
            timeframes = tuple(parse_timeframe(name) for name in _parse_names(value))
        except ValueError as error:
            # What is allowed stands in the notation.
            raise ValueError(f"does not do: {str(error).partition(';')[0]}") from None
    if not timeframes:
        raise ValueError("names no timeframe")
    lengths = [timeframe.length for timeframe in timeframes]
    if len(set(lengths)) < len(lengths):
        raise ValueError("names one length twice")
    return tuple(sorted(timeframes, key=lambda timeframe: timeframe.length))


def _write_timeframes(value: tuple[Timeframe, ...]) -> str:
    return ",".join(timeframe.name for timeframe in value)


def _parse_lateness(value: object) -> dict[str, timedelta]:
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        parts = [name.partition("=") for name in _parse_names(value)]
        pairs = [(name.strip(), text.strip()) for name, _, text in parts]
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("names one timeframe twice")
    lateness = {str(name): parse_duration(duration) for name, duration in pairs}
    if any(not timedelta(0) <= duration <= _LONGEST for duration in lateness.values()):
        raise ValueError("is out of range")
    return lateness


def _write_lateness(value: Mapping[str, timedelta]) -> str:
    return ",".join(f"{name}={write_duration(duration)}" for name, duration in value.items())


def _parse_store_url(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError("is no URL")  # noqa: TRY004 - what pydantic takes for invalid
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("is no URL of HTTP")
    if "@" in parts.netloc:
        raise ValueError("holds a login, which belongs into the file of remote_write_headers")
    return value


def _parse_labels(value: object) -> dict[str, str]:
    if isinstance(value, Mapping):
        pairs = [(str(name), str(text)) for name, text in value.items()]
    else:
        parts = [label.partition("=") for label in _parse_names(value)]
        pairs = [(name.strip(), text.strip()) for name, _, text in parts]
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("names one label twice")
    for name, text in pairs:
        if not _LABEL.fullmatch(name) or name.startswith("__") or not text:
            raise ValueError(f"does not do: {name}={text} is no label")
        if name in _OWN_LABELS:
            raise ValueError(f"does not do: {name} is a label of the series themselves")
    return dict(pairs)


def _write_labels(value: Mapping[str, str]) -> str:
    return ",".join(f"{name}={text}" for name, text in value.items())


def _optional(value: object) -> str:
    return "" if value is None else str(value)


_PERIOD = _duration(timedelta(milliseconds=1))
_SPAN = _duration(timedelta(0))
_RETENTION = _duration(timedelta(days=1))
_BYTES = Notation("a number of B, KiB, MiB or GiB, as in 64MiB", "SIZE", _parse_size, _write_size)
_RATE = Notation("a number greater than 0", "NUMBER", _parse_rate, _write_rate)
_SHARE = Notation("a number from 0 to 1, but not 0", "SHARE", _parse_share, _write_rate)
_ON_OFF = Notation("true or false", "", _parse_switch, lambda value: str(value).lower())
_LISTEN = Notation(
    "HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080; port 0: any free one",
    "HOST:PORT",
    _parse_listen,
    str,
)
_URL = Notation("postgresql://USER:PASSWORD@HOST:PORT/NAME", "URL", _parse_url, _optional)
_DIRECTORY = Notation("a path", "DIRECTORY", _parse_path, str)
_FILE = Notation("a path", "FILE", _parse_file, _optional)
_NAMES = Notation("names, separated by commas", "NAMES", _parse_names, ",".join)
_HOSTS = Notation("host names without a port, separated by commas", "NAMES", _parse_hosts, ",".join)
_GLOBS = Notation("patterns with * and ?, separated by commas", "GLOBS", _parse_names, ",".join)
_TIMEFRAMES = Notation(
    "numbers with m, h, d or w, separated by commas, as in 15m,1h,1d,1w",
    "TIMEFRAMES",
    _parse_timeframes,
    _write_timeframes,
)
_LATENESS = Notation(
    "TIMEFRAME=DURATION, separated by commas, as in 1d=6h,1w=24h",
    "LATENESS",
    _parse_lateness,
    _write_lateness,
)
_STORE_URL = Notation(
    "http:// or https:// and so on, as in http://127.0.0.1:9090/api/v1/write, without a login",
    "URL",
    _parse_store_url,
    _optional,
)
_LABELS = Notation(
    "NAME=VALUE, separated by commas, as in deployment=test", "LABELS", _parse_labels, _write_labels
)
_MEMBERSHIP: Notation[MembershipPolicy] = Notation(
    " or ".join(MembershipPolicy), "|".join(MembershipPolicy), _parse_membership, str
)


def default_data_dir() -> Path:
    """Where data lies if nothing is said: /var/lib/devtelemetry for root, else by XDG.

    Source: XDG Base Directory Specification 0.8; a relative XDG_DATA_HOME is to be ignored.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/devtelemetry")
    configured = Path(os.environ.get("XDG_DATA_HOME", ""))
    base = configured if configured.is_absolute() else Path.home() / ".local/share"
    return base / "devtelemetry"


# ----------------------------------------------------------------------------------- settings


class Settings(BaseSettings):
    """All settings, checked. Raises ConfigurationError with one line: setting, value, allowed.

    options  what the command line says, as text or as values; what it does not say is left out
    """

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, enable_decoding=False, extra="forbid", frozen=True
    )

    config: Annotated[Path | None, _FILE, DefaultText("none")] = Field(
        None, description="A TOML file with settings, one `name = value` a line."
    )
    database_url: Annotated[str | None, _URL, DefaultText("the bundled one")] = Field(
        None,
        repr=False,  # it may hold a password
        description="The PostgreSQL (15 or later) that holds everything. Name one for production; "
        "without it the bundled one runs in the data directory.",
    )
    data_dir: Annotated[
        Path,
        _DIRECTORY,
        DefaultText("`/var/lib/devtelemetry` for root, else `~/.local/share/devtelemetry`"),
    ] = Field(
        default_factory=default_data_dir,
        description="Where the bundled PostgreSQL keeps its files. Not used with a database URL.",
    )
    grpc_listen: Annotated[Listen, _LISTEN] = Field(
        Listen("127.0.0.1", 50051),
        description="Where clients push samples by gRPC. Beyond loopback this needs tokens and "
        "TLS, or `insecure`.",
    )
    http_listen: Annotated[Listen, _LISTEN] = Field(
        Listen("127.0.0.1", 8080),
        description="Where the dashboard, the JSON API, health, metrics and the interface for "
        "older clients are served.",
    )
    http_hosts: Annotated[tuple[str, ...], _HOSTS, DefaultText("none")] = Field(
        (),
        description="Names by which browsers may open the dashboard, beside those of loopback. On "
        "loopback all others are refused; name the public one where a proxy stands in front.",
    )
    workers: Annotated[int, _count(1, 64)] = Field(
        1,
        description="Ingest processes that share the gRPC port. More use more cores: one takes "
        "tens of thousands of samples a second.",
    )
    retention: Annotated[timedelta, _RETENTION] = Field(
        timedelta(days=7),
        description="How long samples are kept, by event time and in whole days; they stay longer "
        "until every window over them is settled. Older samples are refused.",
    )
    clock_skew: Annotated[timedelta, _SPAN] = Field(
        timedelta(hours=1),
        description="How far a sender's clock may be ahead of the server's; samples further in the "
        "future are refused.",
    )
    membership: Annotated[MembershipPolicy, _MEMBERSHIP] = Field(
        MembershipPolicy.PRESENT,
        description="Which receivers count in a window, and what each is expected to hold; "
        "docs/algorithm.md says what each policy means.",
    )
    allowed_lateness: Annotated[Mapping[str, timedelta], _LATENESS, DefaultText("by length")] = (
        Field(
            {},
            description="How long after its end a window is first computed, per timeframe: time "
            "for late reports. Not named: as long as the window up to 1h, 6h up to 1d, 24h beyond.",
        )
    )
    timeframes: Annotated[tuple[Timeframe, ...], _TIMEFRAMES] = Field(
        tuple(parse_timeframe(name) for name in ("1h", "1d", "1w")),
        description="The window lengths that are computed.",
    )
    settle_time: Annotated[timedelta, _SPAN] = Field(
        timedelta(hours=24),
        description="How long after its end a window is computed for the last time; until then "
        "samples that come late change it.",
    )
    recompute_interval: Annotated[timedelta, _SPAN] = Field(
        timedelta(minutes=10),
        description="How often at most a window is computed again because samples arrived for it.",
    )
    job_interval: Annotated[timedelta, _duration(timedelta(seconds=1))] = Field(
        timedelta(seconds=60),
        description="How often the scheduler looks for windows to compute and days to clean.",
    )
    unmeasured_channels: Annotated[tuple[str, ...], _GLOBS, DefaultText("none")] = Field(
        (),
        description="Channels that are no shared conversations: their samples show that a receiver "
        "reports, but form no channel. For samples that come by gRPC or from a file.",
    )
    unmeasured_types: Annotated[tuple[str, ...], _NAMES, DefaultText("none")] = Field(
        (),
        description="Message types that are not measured, likewise.",
    )
    legacy_unmeasured_channels: Annotated[tuple[str, ...], _GLOBS] = Field(
        ("*-negotiated", "*-contact-code"),
        description="The same for samples of status-go's interface: personal topics carry messages "
        "for different people.",
    )
    legacy_unmeasured_types: Annotated[tuple[str, ...], _NAMES] = Field(
        ("COMMUNITY_DESCRIPTION", "CONTACT_CODE_ADVERTISEMENT", "STATUS_UPDATE", "UNKNOWN"),
        description="The same for samples of status-go's interface: types that not every member "
        "gets.",
    )
    quorum: Annotated[int, _count(1, 1000)] = Field(
        1,
        description="How many receivers must hold or have sent a message for it to exist. More "
        "keep out what one liar makes up, and the losses of messages that few received.",
    )
    weight_cap: Annotated[float, _SHARE] = Field(
        1.0,
        description="Who alone vouches for more than this share of a channel's messages is not "
        "believed alone: those messages are left out. 1: no cap. Only with a quorum of 1.",
    )
    smallest_group: Annotated[int, _count(1, 1000)] = Field(
        3,
        description="How many receivers a platform, app version or message type must have to be "
        "shown; smaller ones are put together.",
    )
    influence_limit: Annotated[float, _SHARE] = Field(
        0.01,
        description="A window is marked if leaving out one receiver could move its reliability by "
        "more than this.",
    )
    remote_write_url: Annotated[str | None, _STORE_URL, DefaultText("none")] = Field(
        None,
        repr=False,  # its path may hold a secret
        description="Where windows are sent to as series, by Prometheus' remote write; "
        "docs/publish.md says what a store needs for it. None: they are not.",
    )
    remote_write_headers: Annotated[Path | None, _FILE, DefaultText("none")] = Field(
        None,
        description="A file of headers to send with them, one `Name: value` a line, such as "
        "Authorization. It is read for every request, so a token may be replaced any time.",
    )
    remote_write_ca: Annotated[Path | None, _FILE, DefaultText("the system's")] = Field(
        None,
        description="The certificates (PEM) of who vouches for that URL's TLS, if not one whom the "
        "system knows.",
    )
    remote_write_channels: Annotated[bool, _ON_OFF] = Field(
        False,
        description="Send series of each channel too: ten more a channel, with its name.",
    )
    remote_write_labels: Annotated[Mapping[str, str], _LABELS, DefaultText("none")] = Field(
        {},
        description="Labels that every series has beside its own, to tell several deployments in "
        "one store from each other.",
    )
    tls_cert: Annotated[Path | None, _FILE, DefaultText("none")] = Field(
        None, description="The server's certificate chain (PEM). Needs `tls_key`."
    )
    tls_key: Annotated[Path | None, _FILE, DefaultText("none")] = Field(
        None, description="The private key (PEM) of `tls_cert`."
    )
    insecure: Annotated[bool, _ON_OFF] = Field(
        False,
        description="Listen beyond loopback without tokens and TLS, only behind something that "
        "does both; and send a login to `remote_write_url` beyond loopback without TLS.",
    )
    require_tokens: Annotated[bool, _ON_OFF] = Field(
        False,
        description="Ask for tokens on loopback too, as behind a proxy on the same machine.",
    )
    token_rate: Annotated[float, _RATE] = Field(
        20_000.0,
        description="Samples per second that one token may push; more is answered with "
        "RESOURCE_EXHAUSTED.",
    )
    legacy_http: Annotated[bool, _ON_OFF] = Field(
        False,
        description="Offer status-go's HTTP interface beyond loopback too. Its clients carry no "
        "credentials: anyone who reaches the port can report.",
    )
    legacy_rate: Annotated[float, _RATE] = Field(
        50.0,
        description="Requests per second that one client address may make on status-go's "
        "interface.",
    )
    queue_samples: Annotated[int, _count(5_000, 10_000_000)] = Field(
        50_000,
        description="Samples that may wait for their commit, about a second of work; beyond it "
        "pushes are told to come again.",
    )
    queue_bytes: Annotated[int, _BYTES] = Field(
        64 * 2**20,
        description="The same in bytes of requests: what bounds the memory.",
    )
    log_level: Annotated[str, _choice("debug", "info", "warning", "error")] = Field(
        "info", description="The least severity that is logged."
    )
    log_format: Annotated[str, _choice("console", "json")] = Field(
        "console", description="How log lines look on stderr: for people, or for a log collector."
    )

    def __init__(self, **options: object) -> None:
        try:
            super().__init__(**options)  # type: ignore[arg-type]
        except ValidationError as error:
            raise _wrong_value(error, options) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the name is the caller's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _TomlFile(settings_cls)

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        unknown = self.allowed_lateness.keys() - {one.name for one in self.timeframes}
        if unknown:
            raise ConfigurationError(
                f"allowed_lateness: {', '.join(sorted(unknown))} is not computed; allowed: the "
                f"timeframes {_write_timeframes(self.timeframes)}"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("tls_cert", "tls_key") if self.tls_cert else ("tls_key", "tls_cert")
            raise ConfigurationError(
                f"{given}: {getattr(self, given)} is given without {missing}; allowed: both or none"
            )
        # Frozen for everyone else: the override belongs to the value.
        self.__dict__["timeframes"] = tuple(
            parse_timeframe(one.name, self.allowed_lateness.get(one.name, one.allowed_lateness))
            for one in self.timeframes
        )
        return self


class _TomlFile(PydanticBaseSettingsSource):
    """The file that the sources before it name as `config`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Never called: the base class declares it for sources that are asked field by field.

        This one gives all it has at once, in `__call__`.
        """
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        named = self.current_state.get("config")
        if named is None or named == "":
            return {}
        path = _parse_path(named)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(
                f"config: {path} cannot be read: {error.strerror or error}"
            ) from error
        except ValueError as error:  # not UTF-8, or not TOML
            raise ConfigurationError(f"config: {path} is no TOML: {error}") from error
        known = [name for name in self.settings_cls.model_fields if name != "config"]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise ConfigurationError(
                    f"{name} in {path} is no setting; "
                    + (f"did you mean {near[0]}?" if near else f"allowed: {', '.join(known)}")
                )
        return values


def _wrong_value(error: ValidationError, options: Mapping[str, object]) -> ConfigurationError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    if name not in Settings.model_fields:
        return BadOption(f"{name} is no setting; allowed: {', '.join(Settings.model_fields)}")
    reason = str(first.get("ctx", {}).get("error", first["msg"]))
    text = f"{_quote(name, first['input'])} {reason}; allowed: {notation(name).allowed}"
    if name in options:
        return BadOption(f"{option_name(name)}: {text}")
    if any(key.upper() == environment_name(name) for key in os.environ):
        return ConfigurationError(f"{environment_name(name)}: {text}")
    file = options.get("config") or os.environ.get(environment_name("config"))
    return ConfigurationError(f"{name} in {file}: {text}")


def _quote(name: str, value: object) -> str:
    """The value for an error; a URL without what may be secret in it."""
    if name == "remote_write_url":
        return "the URL"
    if name == "database_url" and isinstance(value, str):
        try:
            password = urlsplit(value).password
        except ValueError:
            return "the URL"
        value = value.replace(f":{password}@", ":***@") if password else value
    text = value if isinstance(value, str) else repr(value)
    return repr(text[:77] + "..." if len(text) > 80 else text)


# ------------------------------------------------------------------- what is said about settings


def notation(name: str) -> "Notation[Any]":
    """How the values of a setting are written."""
    metadata = Settings.model_fields[name].metadata
    return next(item for item in metadata if isinstance(item, Notation))


def is_switch(name: str) -> bool:
    """Whether it is on or off: an option without a value."""
    return notation(name) is _ON_OFF


def option_name(name: str) -> str:
    """Of the command line."""
    return "--database" if name == "database_url" else "--" + name.replace("_", "-")


def environment_name(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.upper()


def default_text(name: str) -> str:
    """The default as one would write it, or in words."""
    field = Settings.model_fields[name]
    said = next((item for item in field.metadata if isinstance(item, DefaultText)), None)
    return said.text if said is not None else notation(name).write(field.default)


def description(name: str) -> str:
    text = Settings.model_fields[name].description
    assert text is not None, "every setting says what it is for"
    return text


def settings_table() -> str:
    """All settings as a Markdown table, the text of docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Made by `devtelemetry settings`; a test holds this page to the program.",
        "",
        "A value is looked for in this order: the command line option, the environment variable,",
        "the TOML file that `--config` or `DEVTELEMETRY_CONFIG` names (the key is the name of the",
        "setting), the default. It is written the same way in all of them; in the file, numbers,",
        "true and false, and lists may also be TOML's own.",
        "",
        "| setting | option, environment variable | default | allowed | what, and why |",
        "|---|---|---|---|---|",
    ]
    for name in Settings.model_fields:
        computed = any(
            isinstance(item, DefaultText) for item in Settings.model_fields[name].metadata
        )
        default = default_text(name) if computed else f"`{default_text(name)}`"
        cells = (
            f"`{name}`",
            f"`{option_name(name)}`<br>`{environment_name(name)}`",
            default.replace("*", "\\*") if computed else default,
            notation(name).allowed,
            description(name),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
