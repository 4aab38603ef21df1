"""The background thread: stores records in the outbox, and sends samples from there to a server.

It sleeps without a timer while there is nothing to do. It never waits for the network: during a
push it goes on storing what the app reports.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import grpc

from devtelemetry.client.connection import Connection, told_delay_seconds
from devtelemetry.client.errors import ClientError
from devtelemetry.client.intake import Intake
from devtelemetry.client.lock import Lock
from devtelemetry.client.outbox import Claim, Farewell, News, Outbox
from devtelemetry.client.recorder import Drained, Recorder
from devtelemetry.client.sample import tidy
from devtelemetry.client.schedule import Backoff, Schedule, Timing
from devtelemetry.client.settings import SECOND_KEY, Problem, Settings
from devtelemetry.client.sources import Source
from devtelemetry.client.wire import (
    App,
    meaning_of,
    push_request,
    reason_of,
    reporter_of,
)
from devtelemetry.v1 import telemetry_pb2

_FOR_EVER = float("inf")
_LONGEST_OUTAGE = 5.0  # the most seconds between two tries to write the outbox
_VANISH_AGAIN = 10.0
_LOG = logging.getLogger("devtelemetry.client")


@dataclass(slots=True)
class _Push:
    """A call that is under way."""

    call: Any  # a grpc.Call and grpc.Future
    sent: Claim | Farewell
    revision: int | None  # of the settings when the call started


class Sender:
    """Runs in a thread of its own, from `start` to `stop`.

    on_end  called by that thread at the end; closes everything that the sender was given
    """

    def __init__(
        self,
        settings: Settings,
        app: App,
        recorder: Recorder,
        outbox: Outbox,
        lock: Lock,
        timing: Timing,
        on_end: Callable[[], None],
    ) -> None:
        self._on_end = on_end
        self._settings = settings
        self._app = app
        self._recorder = recorder
        self._alarm = recorder.alarm
        self._journal = recorder.journal
        self._outbox = outbox
        self._intake = Intake(settings, outbox)
        self._lock = lock  # held while a call is under way: only one process at a time may call
        self._timing = timing
        self._schedule = Schedule(timing, Backoff(timing))
        self._farewells = Backoff(timing)
        self._connection = Connection(app.tls, timing.idle_connection)
        self._consent = 0
        self._revision: int | None = None
        self._is_second = False  # another receiver already reports by this file
        self._vanish_at: float | None = None  # next try to remove wiped data from the file's log
        self._server = ""
        self._token = ""
        self._push: _Push | None = None
        self._next_flush = 0.0
        self._stop_at: float | None = None
        self._is_stopping = False
        self._is_flush_asked = False  # set by an app's thread: `flush` was called, ...
        self._is_hurried = False  # ... and something is still to be sent
        self._is_paused = False
        self._thread = threading.Thread(target=self._run, name="devtelemetry", daemon=True)
        self.wakeups = 0  # rounds of the thread's loop

    def start(self) -> None:
        self._thread.start()

    def flush(self) -> None:
        """Makes everything that waits due now. Returns at once."""
        self._is_flush_asked = True
        self._alarm.ring()

    def pause(self, is_paused: bool) -> None:
        """Pauses or resumes pushes. Requests to forget are sent even during a pause."""
        self._is_paused = is_paused
        self._alarm.ring()

    def stop(self, timeout: float) -> None:
        """Sends what it can in `timeout` seconds, then ends."""
        self._stop_at = time.monotonic() + timeout
        self._alarm.ring()
        self._thread.join(timeout + 1.0)

    # ------------------------------------------------------------------------------- the loop

    def _run(self) -> None:
        # A short longest retry, because samples wait in memory meanwhile.
        failures = Backoff(replace(self._timing, longest_retry=_LONGEST_OUTAGE))
        while True:
            self.wakeups += 1
            pause: float | None
            try:
                pause = self._step()
                failures.succeeded()
                self._journal.set_stuck(False)
            except Exception as error:
                # A full disk, a file that another process keeps, a bug: the thread goes on.
                failures.failed(time.monotonic())
                pause = failures.until - time.monotonic()
                is_known = isinstance(error, sqlite3.Error | OSError | ClientError)
                self._journal.set_stuck(is_known)
                _LOG.warning(
                    "%s; the client tries again in %.1f s", error, pause, exc_info=not is_known
                )
            if self._stop_at is not None:
                left = self._stop_at - time.monotonic()
                if pause is None or left <= 0:
                    break
                pause = min(pause, left) if self._is_stopping else 0.0
            assert pause is not None
            if failures.failures:
                self._alarm.sleep(pause)  # not woken by records: they could not be stored either
            else:
                until_flush = max(0.0, self._next_flush - time.monotonic())
                self._recorder.sleep(pause, while_waiting=until_flush)
        self._end()

    def _step(self) -> float | None:
        """Does what is due. Returns the seconds until something is; None if the loop may end."""
        # Read only here: if `stop` is called during a step, another whole step follows.
        self._is_stopping = self._stop_at is not None
        if self._revision != self._settings.switch.revision:
            self._look_at_settings()
        self._journal.set_paused(self._is_paused)
        in_haste = self._is_stopping or self._recorder.is_urgent
        if self._is_flush_asked:
            self._is_flush_asked = False
            self._is_hurried = in_haste = True
        now = time.monotonic()
        if now >= self._next_flush or in_haste:
            self._flush()
            self._next_flush = now + self._timing.flush
        if self._push is not None:
            if not self._push.call.done():
                return _FOR_EVER  # the answer will ring the alarm
            # The push is kept until its answer is stored, so that a full disk costs no answer.
            self._take_answer(self._push)
            self._push = None
            self._lock.release()
        return self._do_what_is_due()

    def _do_what_is_due(self) -> float | None:
        """Starts a call if one is due. Returns the same as `_step`."""
        now = time.monotonic()
        dues = [self._wipe_if_due(now)]
        farewell = self._outbox.farewell()
        if farewell is not None:
            if now >= self._farewells.until and self._say_farewell(farewell):
                return _FOR_EVER
            dues.append(self._farewells.until)
        if self._is_paused:
            self._is_hurried = False
        elif self._is_on:
            due = self._push_if_due(now)
            if due is None:
                return _FOR_EVER
            dues.append(due)
        if self._is_stopping:
            # A call that has just failed is not tried again: an app that ends need not wait for it.
            return None
        dues.append(self._connection.close_if_idle(now))
        return max(0.0, min(dues) - now)

    def _push_if_due(self, now: float) -> float | None:
        """Pushes if that is due. Returns when the next push will be; None if one is under way."""
        waiting = self._outbox.waiting()
        hurry = self._is_stopping or self._is_hurried or waiting.is_crowded
        due = self._schedule.next_push(waiting.things, now, hurry=hurry)
        if due <= now and not (waiting.things and hurry):
            # Another process may have pushed for this installation meanwhile.
            self._note_last_contact()
            due = self._schedule.next_push(waiting.things, now, hurry=hurry)
        if due <= now and (waiting.things or not self._is_stopping):
            if self._push_batch():
                return None
            due = self._schedule.backoff.until
        self._is_hurried &= waiting.things > 0
        return due

    def _wipe_if_due(self, now: float) -> float:
        """Removes wiped data from the file's log, if it is time. Returns when to try again."""
        if self._vanish_at is not None and now >= self._vanish_at:
            self._vanish_at = None if self._settings.vanish() else now + _VANISH_AGAIN
        return self._vanish_at or _FOR_EVER

    def _say_farewell(self, farewell: Farewell) -> bool:
        """Asks a server to forget. Returns whether the call is under way now."""
        if not self._may_speak(self._farewells):
            return False
        # The current token, if there is one for this server: the old one may have been replaced.
        is_current = farewell.server == self._server and self._token
        token = self._token if is_current else farewell.token
        request = telemetry_pb2.PushRequest(
            forget=True,
            reporter=telemetry_pb2.Reporter(installation_id=farewell.installation_id),
        )
        try:
            self._call(farewell, farewell.server, token, request)
        except OSError as error:
            _LOG.warning("the server cannot be told of an opt-out: %s", error)
            self._farewells.failed_for_a_person_to_mend(time.monotonic())
            self._lock.release()
        return self._push is not None

    def _push_batch(self) -> bool:
        """Starts a push. Returns whether it is under way; else the backoff says when to retry."""
        backoff = self._schedule.backoff
        if not self._server:
            news = self._news(
                Problem.NO_SERVER,
                "neither the app nor the settings name a server; allowed: HOST:PORT in one of them",
            )
            self._outbox.report(self._consent, news)
            backoff.failed_for_a_person_to_mend(time.monotonic())
            return False
        if not self._may_speak(backoff):
            return False
        try:
            identity = self._outbox.identity(self._consent)
            if identity is not None:
                self._intake.recover(identity)  # of clients in other processes that were killed
            claim = self._outbox.claim(
                self._consent,
                self._server,
                self._token,
                max_samples=self._timing.batch_samples,
                max_bytes=self._timing.batch_bytes,
                now_ms=self._settings.clock(),
            )
            if claim is not None:
                self._push_claim(claim)
        finally:
            if self._push is None:
                self._lock.release()
        if claim is None:
            # The switch is on and the file is off: an opt-in or opt-out is half done, or was cut
            # short.
            backoff.failed(time.monotonic())
        return self._push is not None

    def _push_claim(self, claim: Claim) -> None:
        is_empty = not claim.samples and not claim.memberships
        if not self._is_on or (is_empty and self._is_stopping):
            self._outbox.release(claim)
            self._schedule.backoff.failed(time.monotonic())
            return
        try:
            self._call(
                claim,
                self._server,
                self._token,
                push_request(self._app, claim, self._settings.clock()),
            )
        except OSError as error:
            # The file with the app's certificate authorities cannot be read.
            self._schedule.backoff.failed_for_a_person_to_mend(time.monotonic())
            self._outbox.release(claim, self._news(Problem.UNREACHABLE, str(error)))
        except BaseException:
            self._outbox.release(claim)
            raise

    def _may_speak(self, backoff: Backoff) -> bool:
        """Takes the lock. Returns False if another process is calling for this installation."""
        if not self._lock.take():
            backoff.failed(time.monotonic())
            return False
        try:
            # Samples still in flight belong to a process that was killed during its push.
            self._outbox.requeue()
        except BaseException:
            self._lock.release()
            raise
        return True

    def _call(
        self,
        sent: Claim | Farewell,
        server: str,
        token: str,
        request: telemetry_pb2.PushRequest,
    ) -> None:
        deadline = self._timing.deadline
        if self._stop_at is not None:
            deadline = min(deadline, max(0.1, self._stop_at - time.monotonic()))
        call = self._connection.push(server, token, request, deadline)
        self._push = _Push(call, sent, self._revision)
        call.add_done_callback(lambda _: self._alarm.ring())

    # -------------------------------------------------------------------------------- answers

    def _take_answer(self, push: _Push) -> None:
        if isinstance(push.sent, Farewell):
            self._take_farewell(push, push.sent)
        else:
            self._take_push(push, push.sent)

    def _take_push(self, push: _Push, claim: Claim) -> None:
        call = push.call
        code = call.code()
        if code is grpc.StatusCode.OK:
            answer = call.result()
            refused = {
                rejection.index: reason_of(rejection)
                for rejection in answer.rejections
                if rejection.index < len(claim.samples)
            }
            self._outbox.settle(claim, refused, self._news(None, ""), told=answer)
            _, interval = self._outbox.contact()
            self._schedule.pushed(time.monotonic(), interval, leaves_some=claim.leaves_some)
            return
        self._is_hurried = False  # a `flush` does not repeat a push that has failed
        if code is grpc.StatusCode.INVALID_ARGUMENT:
            # If it were sent again, it would be refused again.
            reason = tidy(f"refused: {call.details()}")
            refused = dict.fromkeys(range(len(claim.samples)), reason)
            news = self._news(Problem.REFUSED, call.details())
            self._outbox.settle(claim, refused, news, has_arrived=False)
            self._schedule.last_contact = time.monotonic()
            self._schedule.backoff.failed(time.monotonic())
        else:
            problem, _ = meaning_of(call)
            self._outbox.release(claim, self._news(problem, call.details() or code.name))
            self._back_off(push, self._schedule.backoff)

    def _take_farewell(self, push: _Push, farewell: Farewell) -> None:
        is_done = push.call.code() in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)
        self._outbox.said(farewell, is_done=is_done)
        if is_done:
            self._farewells.succeeded()
        else:
            self._back_off(push, self._farewells)

    def _back_off(self, push: _Push, backoff: Backoff) -> None:
        """Leaves the server alone after a failure, for as long as that failure calls for."""
        now = time.monotonic()
        _, needs_a_person = meaning_of(push.call)
        delay = told_delay_seconds(push.call)
        if delay is not None:
            backoff.told_to_wait(now, delay)
        elif needs_a_person and push.revision == self._revision:  # no setting was changed meanwhile
            backoff.failed_for_a_person_to_mend(now)
        else:
            backoff.failed(now)
        # Otherwise gRPC waits by its own rule before it connects again, and calls fail until then.
        self._connection.close()

    def _news(self, problem: Problem | None, detail: str | None) -> News:
        return News(problem, tidy(detail or ""), self._settings.clock())

    # ------------------------------------------------------------------------------- settings

    @property
    def _is_on(self) -> bool:
        """Whether the consent that we work under is still given, and no other receiver reports."""
        is_given = self._consent != 0 and self._settings.switch.consent == self._consent
        return is_given and not self._is_second

    def _look_at_settings(self) -> None:
        revision = self._settings.switch.revision
        consent = self._settings.switch.consent
        if consent != self._consent or self._revision is None:
            self._adopt(consent)
        self._server = self._settings.server or self._app.server
        # The app's token is only for the app's server.
        self._token = self._settings.token
        if not self._token and self._server == self._app.server:
            self._token = self._app.token
        identity = self._outbox.identity(consent)
        self._is_second = identity is not None and not self._outbox.introduce(
            identity,
            reporter_of(self._app, identity, self._app.app_version).SerializeToString(),
            self._server,
            self._app.receiver_public_key,
        )
        if self._is_second:
            _LOG.error("this client reports nothing: %s", SECOND_KEY)
        # The change may have mended what was wrong.
        self._schedule.backoff.succeeded()
        self._farewells.succeeded()
        self._revision = revision

    def _adopt(self, consent: int) -> None:
        if self._push is not None and isinstance(self._push.sent, Claim):
            self._push.call.cancel()
            self._outbox.release(self._push.sent)
            self._push = None
            self._lock.release()
        if not consent:
            self._consent = 0
            # If the file still has the consent, an opt-out was cut short. This completes it.
            self._settings.agree()
            self._vanish_at = time.monotonic()
            return
        self._recorder.open()
        now_ms = self._settings.clock()
        lost = self._outbox.open(consent, self._journal.slot, self._journal.settled, now_ms)
        identity = self._outbox.identity(consent)
        if identity is not None:
            lost += self._intake.recover(identity)
        self._consent = consent
        if lost:
            _LOG.info("samples were lost when the machine last stopped")
        self._note_last_contact()

    def _note_last_contact(self) -> None:
        """Takes over the time of the last push, which another process may have made. After an
        opt-in, the first push follows soon."""
        last, self._schedule.interval = self._outbox.contact()
        silent = self._timing.heartbeat - self._timing.batch
        if last is not None:
            silent = (self._settings.clock() - last) / 1000
        contact = time.monotonic() - max(silent, 0.0)
        self._schedule.last_contact = max(self._schedule.last_contact, contact)

    # ------------------------------------------------------------------------ memory → outbox

    def _flush(self) -> None:
        drained = self._recorder.drain()
        while drained is not None:
            self._move(drained)
            drained = self._recorder.drain() if self._is_stopping else None

    def _move(self, drained: Drained) -> None:
        try:
            if self._settings.switch.consent != self._consent:
                # The records may be under a consent that was given a moment ago: adopt it first.
                self._look_at_settings()
            identity = self._outbox.identity(self._consent) if self._is_on else None
            if identity is not None:
                source = Source(self._journal.slot, drained.generation)
                self._intake.store(identity, drained.records, drained.lost, source)
        except sqlite3.ProgrammingError:
            self._recorder.give_up()
            raise
        except (sqlite3.DatabaseError, ClientError, OSError):
            self._recorder.put_back()
            raise
        except Exception:
            # A bug would strike again with the same records, and hold up all later ones.
            self._recorder.give_up()
            raise
        self._recorder.settled()

    # -------------------------------------------------------------------------------- the end

    def _end(self) -> None:
        for last in (self._flush, self._let_go, self._close_outbox, self._connection.close):
            try:
                last()
            except Exception as error:
                _LOG.warning("the client did not end cleanly: %s", error)
        self._on_end()

    def _let_go(self) -> None:
        if self._push is not None:
            self._push.call.cancel()
            if isinstance(self._push.sent, Claim):
                self._outbox.release(self._push.sent)

    def _close_outbox(self) -> None:
        if self._recorder.finish():  # else the next client stores the records that are left
            self._outbox.end(self._consent, self._journal.slot, self._settings.clock())
