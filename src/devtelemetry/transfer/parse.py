"""Reads and checks one line. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from devtelemetry.ingest.check import AgeLimits, check, check_channel, check_reporter, is_numbered
from devtelemetry.model import (
    LostReports,
    Outcome,
    Reason,
    ReportedMembership,
    ReportRun,
    Sample,
    SentAtClock,
)
from devtelemetry.transfer.fields import (
    FIELDS,
    MEMBERSHIP_FIELDS,
    MEMBERSHIP_REQUIRED,
    NAMES,
    PLAIN,
    REQUIRED,
    RULE_FIELDS,
    RULE_REQUIRED,
    RUN_FIELDS,
    RUN_REQUIRED,
    SPELLINGS,
    BadLine,
    one_in,
    sequence,
    show,
)

_OF_AGE = (Reason.TOO_OLD, Reason.IN_THE_FUTURE)
PSEUDONYM_PREFIX = "dt-receiver:"  # of store.keyring.pseudonym


class Rule(NamedTuple):
    """A rule of sampling: clients were to report one of how many messages.

    channel_id  as clients send it; empty for all channels without a rule of their own
    """

    salt: bytes
    one_in: int
    from_ms: int
    channel_id: str = ""


class Line(NamedTuple):
    """What one line says: a sample, perhaps with its number; a run of numbers that arrived or are
    lost; one or two reports of a membership; or a rule of sampling.

    one_in  the client recorded one of so many messages
    """

    sample: Sample | None = None
    run: ReportRun | None = None
    lost: LostReports | None = None
    memberships: tuple[ReportedMembership, ...] = ()
    one_in: int = 1
    rule: Rule | None = None


def parse_line(
    line: bytes, limits: AgeLimits, *, on_unknown: Callable[[str], None] | None = None
) -> Line:
    """Reads a line. A sample is checked as if it had been pushed at its createdAt.

    on_unknown  called with the name of an unknown field, which is ignored

    Raises BadLine.
    """
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLine(f"not JSON: {error.msg} at column {error.colno}") from None
    if type(values) is not dict:
        raise BadLine(f"{show(values)} is not an object; allowed: one JSON object a line")
    if "firstSequence" in values:
        return _parse_run(values, on_unknown)
    if "joinedSaidAt" in values or "leftSaidAt" in values:
        return Line(memberships=_parse_memberships(values, on_unknown))
    if "samplingSalt" in values:
        return Line(rule=Rule(**_said(values, RULE_FIELDS, RULE_REQUIRED, on_unknown)))
    number = _parse("sequence", values.pop("sequence"), sequence) if "sequence" in values else 0
    rate = _parse("oneIn", values.pop("oneIn"), one_in) if "oneIn" in values else 1
    said = _said(values, FIELDS, REQUIRED, on_unknown)
    if said.get("outcome") is Outcome.UNREADABLE:
        said.setdefault("message_id", "")  # then its envelope shows which message it is
    elif "message_id" not in said:
        raise BadLine(f"messageId: missing; every line needs messageId, {', '.join(REQUIRED)}")
    sample = Sample(**said)
    if number and not sample.installation_id:
        raise BadLine(f"sequence: {number} is given without installationId; allowed: only with it")
    run = None
    if is_numbered(sample.installation_id, number):
        run = ReportRun(
            sample.installation_id,
            number,
            number,
            sample.sent_at,
            sample.sent_at,
            sample.source,
        )
    if sample.created_at is None and not sample.says_it_wrote_it:
        raise BadLine(
            "createdAt: null; allowed: Unix milliseconds, or null if sentByReceiver is true"
        )
    # A mark has no createdAt, so its age counts from its message's sentAt.
    age_judged_at = sample.sent_at if sample.created_at is None else sample.created_at
    refusal = check(sample, limits, age_judged_at)
    if refusal is not None and refusal.reason is Reason.IN_THE_FUTURE and _has_own_time(sample):
        # As for a pushed sample, the receiver's time takes the place of an impossible sentAt.
        sample = sample._replace(sent_at=sample.received_at, sent_at_clock=SentAtClock.RECEIVER)
        refusal = check(sample, limits, age_judged_at)
    if refusal is None or (refusal.reason in _OF_AGE and _was_exported(sample)):
        return Line(sample, run, one_in=rate)
    attribute, _, why = refusal.detail.partition(":")
    raise BadLine(
        f"{NAMES.get(attribute, attribute)}:{why} ({refusal.reason.label})",
        run and run._replace(first_sent_at=None, last_sent_at=None),
    )


def is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _parse_run(values: dict[str, Any], on_unknown: Callable[[str], None] | None) -> Line:
    said = _said(values, RUN_FIELDS, RUN_REQUIRED, on_unknown)
    is_lost = said.pop("lost", False)
    run = ReportRun(**({"first_sent_at": None, "last_sent_at": None} | said))
    if not is_numbered(run.installation_id, run.first_sequence):
        raise BadLine("installationId: empty, too long or with NUL; allowed: as in a sample")
    if run.last_sequence < run.first_sequence:
        raise BadLine(
            f"lastSequence: {run.last_sequence}; allowed: firstSequence or more, here "
            f"{run.first_sequence}"
        )
    if (run.first_sent_at is None) != (run.last_sent_at is None):
        raise BadLine("firstSentAt, lastSentAt: one is missing; allowed: both or none")
    if not is_lost:
        return Line(run=run)
    if run.first_sent_at is None or run.last_sent_at is None:
        raise BadLine("firstSentAt, lastSentAt: missing; a line with lost needs both")
    if run.last_sent_at < run.first_sent_at:
        raise BadLine(
            f"lastSentAt: {run.last_sent_at}; allowed if lost: firstSentAt or more, here "
            f"{run.first_sent_at}"
        )
    return Line(lost=LostReports(**said))


def _parse_memberships(
    values: dict[str, Any], on_unknown: Callable[[str], None] | None
) -> tuple[ReportedMembership, ...]:
    """One report, or two if the receiver reported joining and leaving at two times."""
    said = _said(values, MEMBERSHIP_FIELDS, MEMBERSHIP_REQUIRED, on_unknown)
    for name in ("joined", "left"):
        if (f"{name}_at" in said) != (f"{name}_said_at" in said):
            raise BadLine(f"{name}At, {name}SaidAt: one is missing; allowed: both or none")
    who = (said["channel_id"], said["receiver_public_key"], said.get("installation_id", ""))
    refusal = check_channel(who[0]) or check_reporter(*who[1:])
    if refusal is not None:
        attribute, _, why = refusal.detail.partition(":")
        raise BadLine(f"{NAMES[attribute]}:{why} ({refusal.reason.label})")
    times = {said[name] for name in ("joined_said_at", "left_said_at") if name in said}
    return tuple(
        ReportedMembership(
            *who,
            said_at,
            joined_at=said["joined_at"] if said.get("joined_said_at") == said_at else 0,
            left_at=said["left_at"] if said.get("left_said_at") == said_at else 0,
        )
        for said_at in sorted(times)
    )


def _said(
    values: dict[str, Any],
    fields: Mapping[str, tuple[str, Callable[[object], Any]]],
    required: tuple[str, ...],
    on_unknown: Callable[[str], None] | None,
) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name, value in values.items():
        known = fields.get(name)
        if known is None:
            _take_note_of(name, on_unknown)
            continue
        attribute, take = known
        is_plain = type(value) is PLAIN.get(take)
        said[attribute] = value if is_plain else _parse(name, value, take)
    for name in required:
        if fields[name][0] not in said:
            raise BadLine(f"{name}: missing; every line needs {', '.join(required)}")
    return said


def _parse(name: str, value: object, take: Callable[[object], Any]) -> Any:
    try:
        return take(value)
    except BadLine as error:
        raise BadLine(f"{name}: {error}") from None


def _has_own_time(sample: Sample) -> bool:
    return sample.sent_at_clock is SentAtClock.AUTHOR and sample.received_at > 0


def _was_exported(sample: Sample) -> bool:
    """Whether a sample comes from an export. Then it was accepted once, and its age is not checked.

    Its sentAt is the vote of its receiver, and may be of another sample than its createdAt.
    """
    return sample.receiver_public_key.startswith(PSEUDONYM_PREFIX) and not sample.installation_id


def _take_note_of(name: str, on_unknown: Callable[[str], None] | None) -> None:
    """Ignores an unknown field, because later versions may add fields. Raises BadLine if the name
    looks like a misspelt field."""
    meant = SPELLINGS.get(name.replace("_", "").replace("-", "").lower())
    if meant is not None and meant != name:
        raise BadLine(f"{show(name)} is not a field; did you mean {meant}?")
    if on_unknown is not None:
        on_unknown(name)
