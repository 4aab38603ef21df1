"""Every setting: what it is, its default and unit, and why one would change it.

A value is looked for in this order: the option on the command line, the environment variable
DEVTELEMETRY_<NAME>, the TOML file of `--config` or DEVTELEMETRY_CONFIG, the default below. It is
written the same way in all of them. docs/settings.md is made from this file
(`devtelemetry settings`).
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from devtelemetry.model import OBJECTIVE, Listen, MembershipPolicy, parse_timeframe
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.settings.errors import wrong_value
from devtelemetry.settings.file import read_file
from devtelemetry.settings.names import ENVIRONMENT_PREFIX
from devtelemetry.settings.notations import (
    LONGEST,
    Address,
    Addresses,
    DatabaseUrl,
    DefaultText,
    Directory,
    Duration,
    File,
    Globs,
    Hosts,
    Labels,
    Lateness,
    LinkPattern,
    LogFormat,
    LogLevel,
    Membership,
    Names,
    Objective,
    Origins,
    PublicUrl,
    Rate,
    SamplingWish,
    Share,
    Size,
    StoreUrl,
    Switch,
    Timeframes,
    WebhookUrl,
    WholeNumber,
    written,
)

_ON_THE_WAY = timedelta(minutes=5)
"""How much longer a push may take than clients are asked to wait"""


def default_data_dir() -> Path:
    """The data directory if none is set: /var/lib/devtelemetry for root, else by XDG.

    Source: XDG Base Directory Specification 0.8, by which a relative XDG_DATA_HOME is ignored. If
    there is no home directory, `~` stays in the path; with a database URL nobody needs it.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/devtelemetry")
    configured = Path(os.environ.get("XDG_DATA_HOME", ""))
    base = configured if configured.is_absolute() else Path("~/.local/share")
    directory = base / "devtelemetry"
    try:
        return directory.expanduser()
    except RuntimeError:
        return directory


class Settings(BaseSettings):
    """All settings, checked. Raises ConfigurationError with one line: setting, value, allowed.

    options  the values that the command line gives, as text or already parsed
    """

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        enable_decoding=False,
        extra="forbid",
        frozen=True,
        defer_build=True,  # --help does not check values
        validate_default=False,  # the defaults are values, not text
    )

    config: Annotated[File, DefaultText("none")] = Field(
        None, description="A TOML file with settings, one `name = value` a line."
    )
    database_url: Annotated[DatabaseUrl, DefaultText("the bundled one")] = Field(
        None,
        repr=False,  # it may hold a password
        description="The PostgreSQL (15 or later) that holds everything. Name one for production; "
        "without one the bundled PostgreSQL runs in the data directory.",
    )
    data_dir: Annotated[
        Directory,
        DefaultText("`/var/lib/devtelemetry` for root, else `~/.local/share/devtelemetry`"),
    ] = Field(
        default_factory=default_data_dir,
        description="Where the bundled PostgreSQL keeps its files. Not used with a database URL.",
    )
    grpc_listen: Address = Field(
        Listen("127.0.0.1", 50051),
        description="Where clients push samples by gRPC. An address other than loopback needs "
        "tokens and TLS, or `insecure`.",
    )
    http_listen: Address = Field(
        Listen("127.0.0.1", 8080),
        description="Where the dashboard, the JSON API, health, metrics and the interface for "
        "older clients are served.",
    )
    http_hosts: Annotated[Hosts, DefaultText("none")] = Field(
        (),
        description="Host names by which browsers may open the dashboard, in addition to those of "
        "loopback. A server on loopback refuses all others, so behind a proxy name the public "
        "one.",
    )
    public_url: Annotated[PublicUrl, DefaultText("none")] = Field(
        None,
        description="The address at which people open the dashboard. Links in notifications and "
        "alerts begin with it; without it they have no links.",
    )
    cors_origins: Annotated[Origins, DefaultText("none")] = Field(
        (),
        description="Web pages that may push samples from a browser, by their origin. Pages of "
        "this server's own address need not be named; all others are refused.",
    )
    trusted_proxies: Annotated[Addresses, DefaultText("none")] = Field(
        (),
        description="Addresses of proxies in front of this server. Their "
        "X-Forwarded-For header is believed; that of all others is ignored.",
    )
    workers: WholeNumber = Field(
        1,
        ge=1,
        le=64,
        description="How many ingest processes share the gRPC port. One takes tens of thousands "
        "of samples a second; more processes use more cores.",
    )
    retention: Duration = Field(
        timedelta(days=7),
        ge=timedelta(days=1),
        le=LONGEST,
        description="How long samples are kept, by event time and in whole days. They stay longer "
        "until every window over them is settled. Older samples are refused.",
    )
    silent_after: Duration = Field(
        timedelta(days=90),
        ge=timedelta(days=14),
        le=LONGEST,
        description="Receivers that were silent for this long are deleted, with their "
        "memberships. So are channels and types that only one installation ever named.",
    )
    clock_skew: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(0),
        le=LONGEST,
        description="How far a sender's clock may be ahead of the server's; samples further in the "
        "future are refused.",
    )
    clock_leap: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(minutes=1),
        le=LONGEST,
        description="How far the server's clock may be from the time when a server last ran here, "
        "or from the clocks of clients. If it is further away, as after a longer pause, the "
        "server decides nothing by its clock until clients agree with it, or somebody runs "
        "`devtelemetry clock --confirm`.",
    )
    membership: Membership = Field(
        MembershipPolicy.PRESENT,
        description="Which receivers count in a window, and which messages each is expected to "
        "hold; docs/algorithm.md explains each policy.",
    )
    allowed_lateness: Annotated[Lateness, DefaultText("by length")] = Field(
        {},
        description="How long after its end a window is first computed, per timeframe, so that "
        "late reports count. A timeframe that is not named has its own length up to 1h, 6h up to "
        "1d, 24h beyond.",
    )
    timeframes: Timeframes = Field(
        tuple(parse_timeframe(name) for name in ("1h", "1d", "1w")),
        description="The window lengths that are computed.",
    )
    settle_time: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(0),
        le=LONGEST,
        description="How long after its end a window is computed for the last time. Until then, "
        "further samples change it.",
    )
    recompute_interval: Duration = Field(
        timedelta(minutes=10),
        ge=timedelta(0),
        le=LONGEST,
        description="The shortest time between two computations of a window for which "
        "samples arrive.",
    )
    job_interval: Duration = Field(
        timedelta(seconds=60),
        ge=timedelta(seconds=1),
        le=LONGEST,
        description="How often the scheduler looks for windows to compute and days to clean.",
    )
    sampling: SamplingWish = Field(
        "off",
        description="Clients report one message in this many; all receivers report the same ones. "
        "auto: in each channel, as few messages as keep the interval of a day within "
        "`sampling_width`. Sampling saves work if there are very many messages; docs/algorithm.md "
        "explains what the figures then mean.",
    )
    sampling_width: Share = Field(
        0.005,
        description="How wide the interval of a day's delivery ratio may be if `sampling` is "
        "auto, for each channel and for all together.",
    )
    sampling_notice: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(minutes=5),
        le=LONGEST,
        description="How long in advance clients are told of a change of the sampling. If the "
        "change asks for more messages, a receiver that hears of it too late does not count until "
        "it has heard.",
    )
    push_interval: Duration = Field(
        timedelta(0),
        ge=timedelta(0),
        le=timedelta(hours=12),
        description="How long clients are to wait between two pushes, to spare phones and this "
        "server; 0s: clients decide. A window is first computed at least this long after its end. "
        "While the server is busy, it tells clients to wait longer.",
    )
    unmeasured_channels: Annotated[Globs, DefaultText("none")] = Field(
        (),
        description="Channels that are not shared conversations. Their samples show that a "
        "receiver reports, but no figures are computed for them. This is for samples that come by "
        "gRPC or from a file.",
    )
    unmeasured_types: Annotated[Names, DefaultText("none")] = Field(
        (),
        description="Message types that are not measured. This is for samples that come by gRPC "
        "or from a file.",
    )
    legacy_unmeasured_channels: Globs = Field(
        ("*-negotiated", "*-contact-code"),
        description="Channels that are not measured in samples of status-go's interface: personal "
        "topics carry messages for different people.",
    )
    legacy_unmeasured_types: Names = Field(
        ("COMMUNITY_DESCRIPTION", "CONTACT_CODE_ADVERTISEMENT", "STATUS_UPDATE", "UNKNOWN"),
        description="Message types that are not measured in samples of status-go's interface, "
        "because not every member gets them.",
    )
    quorum: WholeNumber = Field(
        1,
        ge=1,
        le=1000,
        description="How many installations must report or have sent a message before it counts. "
        "A higher number keeps out messages that one liar makes up, but also the losses of "
        "messages that few received.",
    )
    weight_cap: Share = Field(
        0.1,
        description="If one installation is the only one that reports more than this share of a "
        "channel's messages, these messages are not counted but shown apart, as unconfirmed. The "
        "same holds for all installations behind one network together. 1: no cap. The cap applies "
        "only with a quorum of 1, in channels where at least 10 installations count.",
    )
    smallest_group: WholeNumber = Field(
        3,
        ge=1,
        le=1000,
        description="How many receivers a platform, app version or message type must have to be "
        "shown. Smaller groups are put together.",
    )
    objective: Objective = Field(
        OBJECTIVE,
        description="The share of deliveries that should be made. The rest are the losses that 30 "
        "days may have: `report` shows how many of them are left, and alerts fire when they are "
        "used up too fast.",
    )
    influence_limit: Share = Field(
        0.01,
        description="`report` counts the windows in which leaving out one installation could move "
        "the reliability by more than this.",
    )
    notify_webhook_url: Annotated[WebhookUrl, DefaultText("none")] = Field(
        None,
        repr=False,  # its path may hold a secret
        description="Where new and ended problems are sent, as JSON by POST; docs/problems.md "
        "describes the JSON. Without a URL nothing is sent.",
    )
    notify_apprise: Annotated[File, DefaultText("none")] = Field(
        None,
        description="A file for Apprise with one URL a line: the services that are told of new "
        "and ended problems, such as Matrix, Slack or mail. It is read again when it has changed.",
    )
    log_link: Annotated[LinkPattern, DefaultText("none")] = Field(
        None,
        description="What the pages link each missing message to: its place in the logs of a "
        "server, as in https://logs.example.org/search?q={message_id}. Write a literal brace "
        "twice.",
    )
    remote_write_url: Annotated[StoreUrl, DefaultText("none")] = Field(
        None,
        repr=False,  # its path may hold a secret
        description="Where windows are sent as series, by Prometheus remote write; "
        "docs/publish.md explains what the store needs. Without a URL nothing is sent.",
    )
    remote_write_headers: Annotated[File, DefaultText("none")] = Field(
        None,
        description="A file of headers to send with the series, one `Name: value` a line, such as "
        "Authorization. It is read for every request, so a token may be replaced at any time.",
    )
    remote_write_ca: Annotated[File, DefaultText("the system's")] = Field(
        None,
        description="The authorities (PEM) to trust for the TLS of `remote_write_url`, if the "
        "system does not know them.",
    )
    remote_write_channels: Switch = Field(
        False,
        description="Also send the series of each channel: ten for each, with the channel's name.",
    )
    remote_write_labels: Annotated[Labels, DefaultText("none")] = Field(
        {},
        description="Labels to add to every series, to tell several deployments in one store from "
        "each other.",
    )
    tls_cert: Annotated[File, DefaultText("none")] = Field(
        None, description="The server's certificate chain (PEM). Needs `tls_key`."
    )
    tls_key: Annotated[File, DefaultText("none")] = Field(
        None, description="The private key (PEM) of `tls_cert`."
    )
    insecure: Switch = Field(
        False,
        description="Listen beyond loopback without tokens and TLS: only behind something that "
        "does both. A login is then also sent to a `remote_write_url` beyond loopback without TLS.",
    )
    require_tokens: Switch = Field(
        False,
        description="Ask for tokens on loopback too, for a server behind a proxy on the "
        "same machine.",
    )
    token_rate: Rate = Field(
        20_000.0,
        description="Samples per second that one token may push; further requests are answered "
        "with RESOURCE_EXHAUSTED.",
    )
    installation_keys: WholeNumber = Field(
        100,
        ge=1,
        le=1_000_000,
        description="How many keys of receivers one installation may report for. Samples under "
        "further keys are rejected.",
    )
    installation_channels: WholeNumber = Field(
        5_000,
        ge=1,
        le=1_000_000,
        description="How many channels one installation may name. A channel counts once for each "
        "key of the installation. Samples of further channels are rejected.",
    )
    installation_types: WholeNumber = Field(
        500,
        ge=1,
        le=1_000_000,
        description="How many message types one installation may name, counted in the "
        "same way as channels.",
    )
    installation_bytes: Size = Field(
        256 * 2**20,
        description="How many bytes of requests one installation may send a day (UTC). A sample "
        "of less than 256 bytes counts as 256. Samples beyond this limit are rejected.",
    )
    legacy_http: Switch = Field(
        False,
        description="Offer status-go's HTTP interface also beyond loopback and where tokens are "
        "required. Its clients carry no credentials: anyone who reaches the port can report.",
    )
    legacy_rate: Rate = Field(
        50.0,
        description="Requests per second that one client address may make on status-go's "
        "interface.",
    )
    queue_samples: WholeNumber = Field(
        50_000,
        ge=5_000,
        le=10_000_000,
        description="How many samples may wait for their commit: about a second of work. When "
        "more come, clients are told to push again later.",
    )
    queue_bytes: Size = Field(
        64 * 2**20,
        description="How many bytes of requests may wait for their commit. This bounds the memory.",
    )
    log_level: LogLevel = Field("info", description="The least severity that is logged.")
    log_format: LogFormat = Field(
        "console", description="How log lines look on stderr: for people, or for a log collector."
    )

    def __init__(self, **options: object) -> None:
        try:
            super().__init__(**options)  # type: ignore[arg-type]
        except ValidationError as error:
            raise wrong_value(error, options, type(self).model_fields) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the name is the caller's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = {**env_settings(), **init_settings()}.get("config")
        known = [name for name in settings_cls.model_fields if name != "config"]
        values = read_file(file, known) if file else {}
        return init_settings, env_settings, InitSettingsSource(settings_cls, values)

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        unknown = self.allowed_lateness.keys() - {one.name for one in self.timeframes}
        if unknown:
            raise ConfigurationError(
                f"allowed_lateness: {', '.join(sorted(unknown))} is not a computed timeframe; "
                f"allowed: the timeframes {written(self.timeframes)}"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("tls_cert", "tls_key") if self.tls_cert else ("tls_key", "tls_cert")
            raise ConfigurationError(
                f"{given}: {getattr(self, given)} is given without {missing}; allowed: both or none"
            )
        # A client that is asked to wait is not silent, so the lateness is at least that wait. This
        # goes through __dict__, because settings are frozen for everyone else.
        waited = self.push_interval + _ON_THE_WAY if self.push_interval else timedelta(0)
        self.__dict__["timeframes"] = tuple(
            parse_timeframe(
                one.name,
                max(waited, self.allowed_lateness.get(one.name, one.allowed_lateness)),
            )
            for one in self.timeframes
        )
        if self.sampling == "auto" and "1d" not in {one.name for one in self.timeframes}:
            raise ConfigurationError(
                "sampling: auto needs windows of a day; allowed: auto if 1d is one of the "
                "timeframes"
            )
        return self
