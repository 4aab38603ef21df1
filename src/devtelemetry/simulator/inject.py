"""The command `simulate --audit`: injects a plan, waits for its window, compares it with the truth.

The reports must stay until the window is settled, because a window that is computed again would
lose them. So a file notes what is to be forgotten, and a later run has it forgotten once the window
is settled.
"""

import contextlib
import json
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console
from rich.table import Table

from devtelemetry import __version__
from devtelemetry.client.connection import Connection, told_delay_seconds
from devtelemetry.figures.audits import COUNT_NAMES, RECENT_MS, Audit, parse_audit
from devtelemetry.figures.document import iso
from devtelemetry.model import Timeframe, WindowState, parse_timeframe
from devtelemetry.model.errors import DevTelemetryError
from devtelemetry.runtime.clock import utc_now
from devtelemetry.simulator.audit import (
    PUBLIC_KEY,
    Plan,
    Push,
    Spec,
    Timing,
    installation_ids,
    make_plan,
    plan_timing,
)
from devtelemetry.simulator.fetch import NoFigures, fetch_report
from devtelemetry.simulator.node import Target
from devtelemetry.simulator.run import check_reachable
from devtelemetry.v1 import telemetry_pb2
from devtelemetry.words.tables import bare_table

_DEADLINE_SECONDS = 30.0  # of one request
_FORGET_SECONDS = 120.0  # of a forget, because the server may be busy with another one
_FIRST_LOOK_SECONDS = 0.5
_LONGEST_LOOK_SECONDS = 15.0
_GRACE = timedelta(minutes=15)  # beyond the usual allowed lateness: for jobs and a short outage

_TRY_AGAIN = (
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


class AuditError(DevTelemetryError):
    """The audit could not be made, or its figures are not the true ones; the text says why."""


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """The options of the command.

    timeframe      None: the shortest that the server computes
    compare_url    of the server that has the figures; None: nothing is compared
    state          the file that notes what is to be forgotten; None: nothing is forgotten
    wait           how long to wait for the figures; None: as long as they usually take
    """

    target: Target
    seed: int
    nodes: int
    loss: float
    quorum: int
    timeframe: Timeframe | None
    is_live: bool
    compare_url: str | None
    compare_token: str | None
    state: Path | None
    wait: timedelta | None


def audit(asked: AuditRequest) -> None:
    """Makes an audit; prints a table and a line. Raises AuditError, NoFigures, SimulationError."""
    timeframe = asked.timeframe or parse_timeframe(_its_timeframe(asked))
    check_reachable(asked.target.server)
    pusher = Pusher(asked.target)
    with contextlib.closing(pusher):
        _forget_settled(asked, pusher)
        timing = plan_timing(timeframe, utc_now(), is_live=asked.is_live)
        plan = make_plan(
            Spec(asked.seed, asked.nodes, asked.loss, asked.quorum, secrets.token_hex(8)),
            timeframe,
            timing,
        )
        _note(asked, plan.audit)
        inject(plan, timing, pusher)
    _say(
        f"injected {plan.audit.channel_id}\n"
        f"{len(plan.before) + len(plan.after)} pushes about the {timeframe.name} window of "
        f"{iso(timing.window.start)}"
    )
    if asked.compare_url is None:
        _say(
            "when that window is computed, GET /api/v1/reliability?channel=… has the figures, and "
            "devtelemetry_audit_recovered on /metrics shows whether they are right"
        )
        return
    usual = max(timing.by, timing.window.end + timeframe.allowed_lateness) + _GRACE
    deadline = usual if asked.wait is None else utc_now() + asked.wait
    windows = wait_for_figures(
        plan.audit, asked.compare_url, asked.compare_token, asked.target.tls_ca, deadline
    )
    Console(highlight=False).print(audit_table(plan.audit, windows))
    wrong = [why for window in windows if (why := difference(plan.audit, window))]
    if wrong:
        raise AuditError(f"not recovered {'; '.join(wrong)}")
    _say(f"recovered: every count is the true one ({iso(timing.window.start)}, {timeframe.name})")


def _its_timeframe(asked: AuditRequest) -> str:
    if asked.compare_url is None:
        return "1h"
    now = utc_now()
    report = fetch_report(
        asked.compare_url,
        None,
        iso(now - timedelta(hours=1)),
        iso(now),
        asked.compare_token,
        tls_ca=asked.target.tls_ca,
        channels=False,
    )
    return str(report["timeframe"])


# --------------------------------------------------------------------------------------- injecting


class Pusher:
    """Pushes to a server, and tries again while it is busy or away. Raises AuditError."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection = Connection(target.tls_ca, idle_seconds=_LONGEST_LOOK_SECONDS)

    def push(self, request: telemetry_pb2.PushRequest, seconds: float) -> None:
        """Pushes until the server takes it, for so many seconds; no sample may be refused."""
        deadline = time.monotonic() + seconds
        while True:
            call = self._connection.push(
                self._target.server, self._target.token or "", request, _DEADLINE_SECONDS
            )
            code = call.code()
            if code is grpc.StatusCode.OK:
                break
            left = deadline - time.monotonic()
            if code not in _TRY_AGAIN or left <= 0:
                raise AuditError(
                    f"{self._target.server} did not accept the injected samples: {code.name}: "
                    f"{call.details()}"
                )
            self._connection.close()  # gRPC's own backoff would delay the next connection
            time.sleep(min(left, told_delay_seconds(call) or 1.0))
        rejections = call.result().rejections
        if rejections:
            raise AuditError(
                f"{self._target.server} rejected {len(rejections)} injected samples; the first: "
                f"{rejections[0].detail}"
            )

    def forget(self, installation_id: str) -> None:
        self.push(
            telemetry_pb2.PushRequest(
                forget=True, reporter=telemetry_pb2.Reporter(installation_id=installation_id)
            ),
            _FORGET_SECONDS,
        )

    def close(self) -> None:
        self._connection.close()


def inject(plan: Plan, timing: Timing, pusher: Pusher) -> None:
    """Pushes all of the plan, each part at its time. Raises AuditError."""
    channel_id = plan.audit.channel_id
    _sleep_until(timing.begin, "the audit begins")
    _push_all(plan.before, channel_id, pusher, timing.window.end if timing.is_live else timing.by)
    if timing.is_live:
        _sleep_until(timing.go_on, "the window ends")
    _push_all(plan.after, channel_id, pusher, timing.by)


def _push_all(pushes: Iterable[Push], channel_id: str, pusher: Pusher, until: datetime) -> None:
    for push in pushes:
        seconds = (until - utc_now()).total_seconds()
        if seconds <= 0:
            raise AuditError(
                f"the server took too long: not all samples were injected by {iso(until)}; run the "
                "audit again with fewer --nodes"
            )
        pusher.push(to_request(push, channel_id), seconds)
    if utc_now() > until:
        raise AuditError(
            f"the server took too long: it accepted the last samples after {iso(until)}"
        )


def to_request(push: Push, channel_id: str) -> telemetry_pb2.PushRequest:
    """The push as a request. Without client_time, so that figures of clients' clocks ignore it."""
    memberships = []
    if push.joined_at is not None:
        memberships = [
            telemetry_pb2.Membership(
                channel_id=channel_id, joined_at=push.joined_at, left_at=push.left_at or 0
            )
        ]
    return telemetry_pb2.PushRequest(
        samples=[
            telemetry_pb2.Sample(
                message_id=told.message_id,
                channel_id=channel_id,
                sent_at=told.sent_at,
                received_at=told.received_at,
                sent_by_receiver=told.is_author,
                message_type=told.message_type,
            )
            for told in push.samples
        ],
        reporter=telemetry_pb2.Reporter(
            receiver_public_key=PUBLIC_KEY,
            installation_id=push.installation_id,
            platform="audit",
            app_version=__version__,
        ),
        first_sequence=push.first_number,
        memberships=memberships,
    )


# ----------------------------------------------------------------------------------- the figures


def wait_for_figures(
    audit: Audit, url: str, token: str | None, tls_ca: Path | None, deadline: datetime
) -> Sequence[Mapping[str, Any]]:
    """The audit's window under each membership policy, as computed after the injection.

    Raises AuditError if that is not done by the deadline, NoFigures if the server does not answer.
    """
    pause = _FIRST_LOOK_SECONDS
    with _waiting(f"until {iso(audit.start)} is computed, at the latest {iso(deadline)}"):
        while True:
            is_over = utc_now() >= deadline
            try:
                windows = _windows_of(audit, url, token, tls_ca)
            except NoFigures:
                # The server may be away for a while.
                if is_over:
                    raise
                windows = []
            fresh = [w for w in windows if datetime.fromisoformat(w["computed_at"]) >= audit.by]
            if fresh:
                return fresh
            if is_over:
                raise AuditError(
                    f"not recovered: the {audit.timeframe} window of {iso(audit.start)} has not "
                    f"been computed since the injection; is {audit.timeframe} one of the server's "
                    "timeframes, and does devtelemetry_window_lag_seconds grow?"
                )
            time.sleep(min(pause, max(0.0, (deadline - utc_now()).total_seconds())))
            pause = min(1.5 * pause, _LONGEST_LOOK_SECONDS)


def _windows_of(
    audit: Audit, url: str, token: str | None, tls_ca: Path | None
) -> list[dict[str, Any]]:
    window = audit.window
    report = fetch_report(
        url, audit.timeframe, iso(window.start), iso(window.end), token, audit.channel_id, tls_ca
    )
    return [w for w in report["windows"] if w["start"] == iso(window.start)]


def _measured(window: Mapping[str, Any], name: str) -> int:
    """A count of the audit's channel, the only one in this window; 0 if the channel is missing."""
    return sum(int(channel[name]) for channel in window["channels"])


def difference(audit: Audit, window: Mapping[str, Any]) -> str:
    """The counts of a window that differ from the truth, in a phrase; empty: none."""
    wrong = [
        f"{name} {_measured(window, name):,} instead of {getattr(audit.counts, name):,}"
        for name in COUNT_NAMES
        if _measured(window, name) != getattr(audit.counts, name)
    ]
    return f"under {window['membership']}: {', '.join(wrong)}" if wrong else ""


def audit_table(audit: Audit, windows: Iterable[Mapping[str, Any]]) -> Table:
    """One row for each count: the true one, and the measured ones by membership policy."""
    windows = list(windows)
    table = bare_table(gap=2)
    table.add_column("")
    for title in ("true", *(f"measured ({window['membership']})" for window in windows)):
        table.add_column(title, justify="right", no_wrap=True)
    for name in COUNT_NAMES:
        measured = (f"{_measured(window, name):,}" for window in windows)
        table.add_row(name, f"{getattr(audit.counts, name):,}", *measured)
    return table


# ------------------------------------------------------------------------------------- forgetting


def _noted(path: Path) -> list[dict[str, str]]:
    """The notes in the file. Raises AuditError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    try:
        notes: list[dict[str, str]] = json.loads(text)
        return [{"target": note["target"], "channel": note["channel"]} for note in notes]
    except (ValueError, KeyError, TypeError):
        raise AuditError(
            f"{path} was not written by this command; name another file as --state"
        ) from None


def _write(path: Path, notes: Sequence[Mapping[str, str]]) -> None:
    """Writes all notes or, if that fails, nothing."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def _note(asked: AuditRequest, audit: Audit) -> None:
    """Notes an audit before it is injected, so that it is known whatever happens then."""
    if asked.state is not None:
        note = {"target": asked.target.server, "channel": audit.channel_id}
        _write(asked.state, [*_noted(asked.state), note])


def _forget_settled(asked: AuditRequest, pusher: Pusher) -> None:
    """Has the server forget its earlier audits whose windows are settled."""
    if asked.state is None:
        return
    for note in _noted(asked.state):
        audit = parse_audit(note["channel"])
        if audit is None or note["target"] != asked.target.server or not _is_settled(asked, audit):
            continue
        for installation_id in installation_ids(audit.nonce, audit.counts.receivers):
            pusher.forget(installation_id)
        _write(asked.state, [other for other in _noted(asked.state) if other != note])


def _is_settled(asked: AuditRequest, audit: Audit) -> bool:
    """Whether an audit's window is settled; one older than the retention counts as settled."""
    if utc_now() > audit.window.end + timedelta(milliseconds=RECENT_MS):
        return True
    if asked.compare_url is None:
        return False
    windows = _windows_of(audit, asked.compare_url, asked.compare_token, asked.target.tls_ca)
    return any(window["state"] == WindowState.SETTLED for window in windows)


# ---------------------------------------------------------------------------------------- the rest


def _sleep_until(moment: datetime, what: str) -> None:
    with _waiting(f"until {what}, {iso(moment)}"):
        while (left := (moment - utc_now()).total_seconds()) > 0:
            time.sleep(min(left, 1.0))


@contextlib.contextmanager
def _waiting(text: str) -> Iterator[None]:
    """Shows on a terminal what the command waits for."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(f"waiting {text}"):
        yield


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
