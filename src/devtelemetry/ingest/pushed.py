"""What a push says, as values. Pure: nothing is refused here but what is said beside the samples.

What cannot be is as if it was not said, and counted by field; it costs nothing that is good.
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

# By the wire's numbers, of which a younger client may have more.
_OUTCOMES: Mapping[int, Outcome] = {one.value: one for one in Outcome}
_VIAS: Mapping[int, Via] = {one.value: one for one in Via}
_CLOCKS: Mapping[int, SentAtClock] = {one.value: one for one in SentAtClock}


def to_samples(
    request: telemetry_pb2.PushRequest, now_ms: int, limits: AgeLimits
) -> tuple[list[Sample], Counter[str]]:
    """The samples of a request as values, created at `now_ms`, not checked yet; and how often a
    field of theirs is ignored, by its name.

    An outcome that is not known stays the number that it is, and is refused by `check`: what became
    of the message is all that a sample says. A way that is not known is as if it was not said. A
    clock that is not known counts as the receiver's, which decides nothing where another one
    speaks, and from which no delay is told.

    An author's time that lies further ahead than allowed is no time: where the receiver says when
    it got the message, that counts, put right, as a time by the receiver's clock.
    """
    reporter = request.reporter
    own_key = reporter.receiver_public_key
    installation_id = reporter.installation_id
    platform, app_version, server = reporter.platform, reporter.app_version, reporter.server
    offset = clock_offset(request, now_ms)
    latest = now_ms + limits.clock_skew_ms
    # Looked up once: a member of an enum costs as much as three fields of a message.
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
                # No time, then: its author's fault, and not of who received it.
                sent_at, clock = received_at, SentAtClock.RECEIVER
            if wrote_it:
                # Whatever an author says it received is not when it sent it, and the delays of all
                # others are counted from this.
                received_at = 0 if offset is None else _put_right(sample.sent_at, offset, now_ms)
        # Made as its class would make it, which costs twice as much: this runs once a sample.
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
    """The server's clock less the client's in ms, the request's way here in it; None: not told."""
    return now_ms - request.client_time if is_milliseconds(request.client_time) else None


def _put_right(moment: int, offset: int | None, now_ms: int) -> int:
    """A time by the client's clock as one by the server's, as far as the push told the client's."""
    if not moment or offset is None:
        return moment
    # A clock that was set meanwhile may put it anywhere. It was not after it was reported, and must
    # stay what an import takes.
    moment += offset
    if moment > now_ms:
        return now_ms
    return moment if moment >= LEAST_MILLISECONDS else LEAST_MILLISECONDS


def clocks_said(
    request: telemetry_pb2.PushRequest, receiver_public_keys: Iterable[str], now_ms: int
) -> list[ClockSaid]:
    """How far the clock of the client is off, which these receivers have; none: it does not say."""
    offset = clock_offset(request, now_ms)
    if offset is None:
        return []
    installation_id = request.reporter.installation_id
    return [ClockSaid(key, installation_id, offset, now_ms) for key in receiver_public_keys]


def reported_memberships(
    request: telemetry_pb2.PushRequest, now_ms: int
) -> tuple[list[ReportedMembership], Counter[str]]:
    """What the reporter says of its part in channels, and how much of that is ignored, by reason.

    A bad time is as if it was not said, unless the rest would then say that it is still in. That,
    and a bad channel or reporter, costs the membership. None of it costs a sample.
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
    """The numbers that arrived with a request; none: it does not say.

    Rejected samples are in it: who lost a report is asked, not who reported nonsense.
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
    """Which reports the reporter says it lost, and how many sayings are ignored, by field.

    One that cannot be is as if it was not said: then the hole goes from report to report. A message
    of later than is taken was not reported by anyone, so no hole goes on beyond that.
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
    """How many times of a request are no milliseconds, by platform and app version; mostly none.

    ignored  memberships, by reason
    """
    wrong = Reason.NOT_MILLISECONDS
    times = ignored[wrong.label] + sum(one.reason is wrong for one in rejections)
    if not times:
        return {}
    platform, app_version = reporter.platform, reporter.app_version
    if check_labels(("platform", "app_version"), (platform, app_version)) is not None:
        return {("", ""): times}
    return {(storable(platform), storable(app_version)): times}
