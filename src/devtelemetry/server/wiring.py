"""Makes what each room needs from the settings. No room reads the settings itself.

Everything here is decided once, at the start.
"""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

from devtelemetry.aggregate.rules import AggregateRules, Unmeasured
from devtelemetry.api.access import Access
from devtelemetry.ingest.caps import Caps
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.push import PushInterval
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.ingest.writer import QueueLimits
from devtelemetry.model import Source
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.notify.targets import Services, Webhook
from devtelemetry.publish.publisher import PublishedSeries
from devtelemetry.publish.remote_write import RemoteWrite
from devtelemetry.runtime.hosts import KnownHosts, is_loopback
from devtelemetry.sampling.decide import Wish
from devtelemetry.settings.settings import Settings
from devtelemetry.store.clock import AgreedClock
from devtelemetry.store.database import Database
from devtelemetry.store.open import open_database


@contextlib.asynccontextmanager
async def opened_database(
    settings: Settings, *, exclusive: bool = False
) -> AsyncIterator[Database]:
    """The database that the settings name, for the block; `exclusive` as in open_database."""
    async with open_database(
        settings.database_url, settings.data_dir, exclusive=exclusive
    ) as database:
        yield database


@contextlib.asynccontextmanager
async def watched_clock(settings: Settings, database: Database) -> AsyncIterator[AgreedClock]:
    """The clock that a server decides by; it is watched until the block ends."""
    clock = AgreedClock(database, settings.clock_leap)
    async with clock.watched():
        yield clock


async def agreed_clock(settings: Settings, database: Database) -> AgreedClock:
    """The clock that a command decides by, compared with others once."""
    clock = AgreedClock(database, settings.clock_leap)
    await clock.look()
    return clock


def aggregate_rules(settings: Settings) -> AggregateRules:
    """How windows are computed."""
    return AggregateRules(
        timeframes=settings.timeframes,
        membership=settings.membership,
        settle_time=settings.settle_time,
        recompute_interval=settings.recompute_interval,
        quorum=settings.quorum,
        weight_cap=settings.weight_cap,
        smallest_group=settings.smallest_group,
        unmeasured={
            Source.GRPC: Unmeasured(settings.unmeasured_channels, settings.unmeasured_types),
            Source.STATUS_GO: Unmeasured(
                settings.legacy_unmeasured_channels, settings.legacy_unmeasured_types
            ),
        },
    )


def age_limits(settings: Settings) -> AgeLimits:
    """Which sentAt are accepted."""
    return AgeLimits(_milliseconds(settings.retention), _milliseconds(settings.clock_skew))


def settle_rule(settings: Settings) -> SettleRule:
    """When a sample is late."""
    shortest = min(timeframe.length for timeframe in settings.timeframes)
    return SettleRule(_milliseconds(shortest), _milliseconds(settings.settle_time))


def queue_limits(settings: Settings) -> QueueLimits:
    """How much may wait for its commit."""
    return QueueLimits(settings.queue_samples, settings.queue_bytes)


def caps(settings: Settings) -> Caps:
    """How much one installation may bring."""
    return Caps(
        settings.installation_keys,
        settings.installation_channels,
        settings.installation_types,
        settings.installation_bytes,
    )


def push_interval(settings: Settings) -> PushInterval:
    """How long clients are asked to wait between two pushes."""
    lateness = min(timeframe.allowed_lateness for timeframe in settings.timeframes)
    return PushInterval(
        settings.push_interval // timedelta(seconds=1), lateness // timedelta(seconds=2)
    )


def sampling_wish(settings: Settings) -> Wish:
    """The sampling that the settings ask for: clients report one of how many messages."""
    said = settings.sampling
    one_in = 1 if said == "off" else None if said == "auto" else int(said)
    return Wish(one_in, settings.sampling_width, settings.sampling_notice, settings.membership)


def remote_write(settings: Settings) -> RemoteWrite:
    """The store at `remote_write_url`. Raises ConfigurationError if there is none or if its
    settings are wrong."""
    if settings.remote_write_url is None:
        raise ConfigurationError(
            "remote_write_url: not set; allowed: the URL of a store that accepts remote write, as "
            "in http://127.0.0.1:9090/api/v1/write"
        )
    return RemoteWrite(
        settings.remote_write_url,
        headers=settings.remote_write_headers,
        ca=settings.remote_write_ca,
        insecure=settings.insecure,
    )


def webhook(settings: Settings) -> Webhook | None:
    """Where problems are sent by HTTP, if anywhere. Raises ConfigurationError if it is wrong."""
    return None if settings.notify_webhook_url is None else Webhook(settings.notify_webhook_url)


def services(settings: Settings) -> Services | None:
    """Where problems are sent by Apprise, if anywhere. Raises ConfigurationError if it is wrong."""
    return None if settings.notify_apprise is None else Services(settings.notify_apprise)


def published_series(settings: Settings) -> PublishedSeries:
    """Which series of a window are sent to the store."""
    return PublishedSeries(
        settings.membership, settings.remote_write_channels, settings.remote_write_labels
    )


def http_access(settings: Settings) -> Access:
    """Who may read figures by HTTP. This may ask DNS, so call it once, at the start."""
    is_near = is_loopback(settings.http_listen.host)
    return Access(
        asks_for_token=settings.require_tokens or not (is_near or settings.insecure),
        hosts=KnownHosts(frozenset(settings.http_hosts), is_near),
    )


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
