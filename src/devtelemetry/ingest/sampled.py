"""Which samples of a push the rules of sampling want, and which rules clients must know. Pure.

Source: docs/algorithm.md, "A sample is enough".
"""

from collections.abc import Iterable, Sequence

from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.said import Heartbeat
from devtelemetry.model import AUDIT_CHANNELS, Sample
from devtelemetry.model.sampling import Change, Sampling
from devtelemetry.store.keyring import Keyring
from devtelemetry.v1 import telemetry_pb2
from devtelemetry.v1.sampling import is_in_sample

_ALL_MESSAGES = (Change(0, 1),)


def add_wanted(
    batch: Batch, sampling: Sampling, keyring: Keyring, samples: Sequence[Sample], one_in: int
) -> int:
    """Adds the samples that are wanted, of one message in `one_in`; returns how many are not.

    A sample that is not wanted counts as a heartbeat, because it shows that its sender reports. A
    sample without a message id is kept until its envelope shows which message it is of.
    """
    if not sampling.is_on and one_in == 1:
        batch.add_samples(keyring, samples)
        return 0
    kept: list[Sample] = []
    for sample in samples:
        channel_id = keyring.channel(sample.channel_id)
        here = sampling.one_in(channel_id, sample.sent_at)
        if (
            not sample.message_id
            or sample.channel_id.startswith(AUDIT_CHANNELS)
            or is_in_sample(here, sampling.salt, sample.channel_id, sample.message_id)
        ):
            kept.append(sample)
        elif sample.created_at is not None:
            batch.add_heartbeat(keyring, _heartbeat(sample, sample.created_at))
        since = sampling.finer_since(channel_id, one_in, sample.sent_at)
        if since is not None:
            ids = keyring.receiver(
                sample.receiver_public_key, sample.installation_id, sample.source
            )
            batch.add_coarse((channel_id, ids.receiver_id, since, one_in), sample.sent_at)
    batch.add_samples(keyring, kept)
    return len(samples) - len(kept)


def _heartbeat(sample: Sample, created_at: int) -> Heartbeat:
    return Heartbeat(
        sample.receiver_public_key,
        sample.installation_id,
        sample.platform,
        sample.app_version,
        created_at,
        sample.server,
        sample.source,
    )


def told(
    sampling: Sampling, keyring: Keyring, channels: Iterable[str], oldest_ms: int
) -> list[telemetry_pb2.Sampling]:
    """The rules that a client must know to report these channels; empty if there never were any.

    oldest_ms  sentAt of the oldest message that may still be reported
    """
    if not sampling.is_on:
        return []
    rules = _rules(sampling, "", sampling.of_all or _ALL_MESSAGES, oldest_ms)
    for channel in sorted(set(channels)):
        own = sampling.of_channels.get(keyring.channel(channel))
        if own:
            rules += _rules(sampling, channel, own, oldest_ms)
    return rules


def _rules(
    sampling: Sampling, channel: str, changes: Sequence[Change], oldest_ms: int
) -> list[telemetry_pb2.Sampling]:
    """The rules that still apply to a message that may be reported."""
    followed_at = [later.from_ms for later in changes[1:]]
    return [
        telemetry_pb2.Sampling(
            one_in=change.one_in,
            salt=sampling.salt,
            channel_id=channel,
            **{"from": change.from_ms},
        )
        for change, until in zip(changes, [*followed_at, None], strict=True)
        if until is None or until > oldest_ms
    ]
