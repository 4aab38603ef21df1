"""Turns a push into values. Pure. Samples are checked later (`check`); what a push says beside its
samples is checked here.

An impossible value is ignored as if it were not said, and counted by field. It does not affect what
is good.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from devtelemetry.ingest.batch import storable
from devtelemetry.ingest.check import (
    GREATEST_MILLISECONDS,
    LEAST_MILLISECONDS,
    MAX_LOST_PER_REQUEST,
    MAX_MEMBERSHIPS_PER_REQUEST,
    MAX_SEQUENCE,
    AgeLimits,
    check_channel,
    check_labels,
    check_reporter,
    is_milliseconds,
    is_numbered,
    is_reason,
)
from devtelemetry.ingest.said import ClockSaid
from devtelemetry.model import (
    LostReports,
    Outcome,
    Reason,
    Rejection,
    ReportedMembership,
    ReportRun,
    Sample,
    SentAtClock,
    Source,
    Via,
)
from devtelemetry.v1 import telemetry_pb2

# By the numbers on the wire. A newer client may send others.
_OUTCOMES: Mapping[int, Outcome] = {one.value: one for one in Outcome}
_VIAS: Mapping[int, Via] = {one.value: one for one in Via}
_CLOCKS: Mapping[int, SentAtClock] = {one.value: one for one in SentAtClock}


def to_samples(
    request: telemetry_pb2.PushRequest, now_ms: int, limits: AgeLimits
) -> tuple[list[Sample], Counter[str]]:
    """The samples of a request as values, created at `now_ms`, not checked yet; and how often their
    fields were ignored, by name.

    An unknown outcome stays a number, and `check` refuses it, because the outcome is what a sample
    is for. An unknown way is ignored. An unknown clock counts as the receiver's: such a sentAt
    decides nothing if there is a better one, and gives no delay.

    If a sentAt by the author's clock is further ahead than allowed, it is replaced by the corrected
    time when the receiver got the message, as a time by the receiver's clock. If the receiver does
    not say when, `check` refuses the sample.
    """
    reporter = request.reporter
    own_key = reporter.receiver_public_key
    installation_id = reporter.installation_id
    platform, app_version, server = reporter.platform, reporter.app_version, reporter.server
    offset = clock_offset(request, now_ms)
    latest = now_ms + limits.clock_skew_ms
    # Looked up once: a member of an enum costs as much to read as three fields of a message.
    source, author = Source.GRPC, SentAtClock.AUTHOR
    held, send_failed = Outcome.HELD, Outcome.SEND_FAILED
    samples: list[Sample] = []
    ignored = Counter[str]()
    for sample in request.samples:
        number = sample.outcome
        outcome: Any = _OUTCOMES.get(number, number)
        wrote_it = sample.sent_by_receiver or outcome is send_failed
        sent_at, received_at = sample.sent_at, sample.received_at
        clock = _CLOCKS.get(sample.sent_at_clock)
        if clock is None:
            clock = SentAtClock.RECEIVER
            ignored["sent_at_clock"] += 1
        via = _VIAS.get(sample.via)
        if via is None:
            via = Via.NOT_SAID
            ignored["via"] += 1
        reason = sample.reason
        if reason and (outcome is held or not is_reason(reason)):
            reason = ""
            ignored["reason"] += 1
        if not received_at or LEAST_MILLISECONDS <= received_at <= GREATEST_MILLISECONDS:
            received_at = _put_right(received_at, offset, now_ms)
            if latest < sent_at <= GREATEST_MILLISECONDS and clock is author and received_at:
                # The wrong clock is the author's, so the receiver's sample is kept.
                sent_at, clock = received_at, SentAtClock.RECEIVER
            if wrote_it:
                # An author's received_at is when it sent the message, and the delays of all others
                # count from it. So what the author says it received is not used.
                received_at = 0 if offset is None else _put_right(sample.sent_at, offset, now_ms)
        # The same as Sample(*fields), at half the cost. This runs once for each sample.
        fields = (
            sample.message_id,
            sample.channel_id,
            sample.receiver_public_key or own_key,
            sent_at,
            now_ms,
            installation_id,
            wrote_it,
            sample.topics,
            sample.envelope_id,
            received_at,
            sample.message_type,
            sample.message_size,
            platform,
            app_version,
            source,
            outcome,
            reason,
            via,
            clock,
            server,
        )
        samples.append(tuple.__new__(Sample, fields))
    return samples, ignored


def clock_offset(request: telemetry_pb2.PushRequest, now_ms: int) -> int | None:
    """How many ms the client's clock is behind the server's, including the time that the request
    took to get here. None if the client does not say."""
    return now_ms - request.client_time if is_milliseconds(request.client_time) else None


def _put_right(moment: int, offset: int | None, now_ms: int) -> int:
    """A time by the client's clock, turned into one by the server's if the push has client_time."""
    if not moment or offset is None:
        return moment
    # If the clock was set meanwhile, the result may be anything. But the moment was before now, and
    # the result must be a time that an import accepts.
    moment += offset
    if moment > now_ms:
        return now_ms
    return moment if moment >= LEAST_MILLISECONDS else LEAST_MILLISECONDS


def clocks_said(
    request: telemetry_pb2.PushRequest, receiver_public_keys: Iterable[str], now_ms: int
) -> list[ClockSaid]:
    """How far the clock of these receivers is off; empty if the push has no client_time."""
    offset = clock_offset(request, now_ms)
    if offset is None:
        return []
    installation_id = request.reporter.installation_id
    return [ClockSaid(key, installation_id, offset, now_ms) for key in receiver_public_keys]


def reported_memberships(
    request: telemetry_pb2.PushRequest, now_ms: int
) -> tuple[list[ReportedMembership], Counter[str]]:
    """The reporter's memberships, and how many are ignored, by reason.

    A bad time is ignored, unless the receiver would then seem to be still in the channel. In that
    case, or with a bad channel or reporter, the membership is ignored. No sample is affected.
    """
    good: list[ReportedMembership] = []
    ignored: Counter[str] = Counter()
    if not request.memberships:
        return good, ignored
    reporter = request.reporter
    key, installation_id = reporter.receiver_public_key, reporter.installation_id
    of_reporter = check_reporter(key, installation_id)
    surplus = len(request.memberships) - MAX_MEMBERSHIPS_PER_REQUEST
    if surplus > 0:
        ignored["too_many"] = surplus
    for said in request.memberships[:MAX_MEMBERSHIPS_PER_REQUEST]:
        refusal = of_reporter or check_channel(said.channel_id)
        if refusal is not None:
            ignored[refusal.reason.label] += 1
            continue
        has_left = is_milliseconds(said.left_at)
        has_joined = is_milliseconds(said.joined_at)
        bad_times = (said.left_at != 0 and not has_left) + (said.joined_at != 0 and not has_joined)
        ignored[Reason.NOT_MILLISECONDS.label] += bad_times
        if has_left or not bad_times:
            good.append(
                ReportedMembership(
                    said.channel_id,
                    key,
                    installation_id,
                    now_ms,
                    said.joined_at if has_joined else 0,
                    said.left_at,
                )
            )
    return good, ignored


def numbered(request: telemetry_pb2.PushRequest, accepted: Sequence[Sample]) -> list[ReportRun]:
    """The run of numbers that arrived with a request; empty if it has no numbers.

    Rejected samples are included, because they arrived: only lost reports leave numbers out.
    """
    installation_id, first = request.reporter.installation_id, request.first_sequence
    if not is_numbered(installation_id, first):
        return []
    return [
        ReportRun(
            installation_id,
            first,
            first + len(request.samples) - 1,
            accepted[0].sent_at if accepted else None,
            accepted[-1].sent_at if accepted else None,
        )
    ]


def lost_reports(
    request: telemetry_pb2.PushRequest, now_ms: int, limits: AgeLimits
) -> tuple[list[LostReports], Counter[str]]:
    """The reports that the reporter says it lost; and how many of these entries are ignored.

    If an impossible entry is ignored, the hole spans the time between the reports around it. A hole
    ends no later than the latest sentAt that is accepted, because nobody reported a later message.
    """
    good: list[LostReports] = []
    ignored = Counter[str]()
    installation_id = request.reporter.installation_id
    latest = now_ms + limits.clock_skew_ms
    ignored["lost"] = max(0, len(request.lost) - MAX_LOST_PER_REQUEST)
    for said in request.lost[:MAX_LOST_PER_REQUEST]:
        if (
            is_numbered(installation_id, said.first_sequence)
            and said.first_sequence <= said.last_sequence <= MAX_SEQUENCE
            and is_milliseconds(said.first_sent_at)
            and said.first_sent_at <= min(said.last_sent_at, latest)
            and is_milliseconds(said.last_sent_at)
        ):
            good.append(
                LostReports(
                    installation_id,
                    said.first_sequence,
                    said.last_sequence,
                    said.first_sent_at,
                    min(said.last_sent_at, latest),
                )
            )
        else:
            ignored["lost"] += 1
    return good, ignored


def wrong_times_of(
    reporter: telemetry_pb2.Reporter, ignored: Counter[str], rejections: Iterable[Rejection] = ()
) -> Mapping[tuple[str, str], int]:
    """How many times of a request are not milliseconds, by platform and app version; usually none.

    ignored  how many memberships are ignored, by reason
    """
    wrong = Reason.NOT_MILLISECONDS
    times = ignored[wrong.label] + sum(one.reason is wrong for one in rejections)
    if not times:
        return {}
    platform, app_version = reporter.platform, reporter.app_version
    if check_labels(("platform", "app_version"), (platform, app_version)) is not None:
        return {("", ""): times}
    return {(storable(platform), storable(app_version)): times}
