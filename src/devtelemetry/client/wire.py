"""Between the outbox and the wire: what a request holds, and what an answer means."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from devtelemetry.client.blind import pseudonym, short_id
from devtelemetry.client.check import Fault, Faulty
from devtelemetry.client.identity import Identity
from devtelemetry.client.outbox import Claim, NewSample
from devtelemetry.client.record import ChannelsSaid, Faulted, Item
from devtelemetry.client.sample import ids_of, tidy, to_lost, to_membership, to_said, to_sample
from devtelemetry.client.sampling import Rules
from devtelemetry.client.settings import BEFORE_OPT_IN, NOT_IN_SAMPLE, Problem
from devtelemetry.client.stays import Said
from devtelemetry.client.values import Recorded
from devtelemetry.v1 import telemetry_pb2

# What a status means: the problem to show, and whether only a person can mend it.
_TOLD: dict[grpc.StatusCode, tuple[Problem, bool]] = {
    grpc.StatusCode.UNAUTHENTICATED: (Problem.TOKEN_REFUSED, True),
    grpc.StatusCode.PERMISSION_DENIED: (Problem.TOKEN_REFUSED, True),
    grpc.StatusCode.UNIMPLEMENTED: (Problem.REFUSED, True),  # some other server
    grpc.StatusCode.RESOURCE_EXHAUSTED: (Problem.BUSY, False),
    grpc.StatusCode.UNAVAILABLE: (Problem.UNREACHABLE, False),
    grpc.StatusCode.DEADLINE_EXCEEDED: (Problem.UNREACHABLE, False),
}


@dataclass(frozen=True, slots=True)
class App:
    """What the app says about itself. The user's settings override its server and token.

    tls  None: TLS except on loopback. True, False: always, never. A path: PEM of the authorities
    """

    server: str
    token: str
    tls: bool | Path | None
    receiver_public_key: str
    platform: str
    app_version: str
    messenger_server: str  # home server, relay or node that the app talks to


@dataclass(slots=True)
class Made:
    """What is to be stored of an app's calls.

    counts  by name: messages from before the opt-in, messages that sampling leaves out, and faults
    faults  by name of the fault: the reason of the first one
    """

    samples: list[NewSample] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    def count(self, fault: Fault) -> None:
        self.counts[fault.name] += 1
        self.faults.setdefault(fault.name, fault.reason)

    def set_aside(self, fault: Fault, recorded_at: int) -> None:
        self.count(fault)
        self.samples.append(NewSample(b"", recorded_at, recorded_at, "", fault.reason))


def reporter_of(app: App, identity: Identity, app_version: str) -> telemetry_pb2.Reporter:
    """The reporter of a push. app_version: the app's version when it recorded the samples."""
    key = app.receiver_public_key
    key = short_id(key) if identity.send_real_key else pseudonym(identity.secret, key)
    return telemetry_pb2.Reporter(
        receiver_public_key=key,
        installation_id=identity.installation_id,
        platform=app.platform,
        app_version=app_version,
        server=app.messenger_server,
    )


def push_request(app: App, claim: Claim, now_ms: int) -> telemetry_pb2.PushRequest:
    """The request that pushes `claim`. now_ms: Unix ms by this machine's clock."""
    return telemetry_pb2.PushRequest(
        samples=[telemetry_pb2.Sample.FromString(sample) for sample in claim.samples],
        reporter=reporter_of(app, claim.identity, claim.app_version),
        first_sequence=claim.first_sequence,
        client_time=now_ms,
        memberships=map(to_membership, claim.memberships),
        lost=map(to_lost, claim.lost),
        one_in=claim.one_in if claim.one_in > 1 else 0,
    )


def made_of(items: Iterable[Item], identity: Identity, since: int, rules: Rules) -> Made:
    """Samples, memberships and counts of these calls. Messages from before the opt-in, and those
    that the rules of sampling leave out, are only counted.

    since  the opt-in, Unix ms, by the clock as it is set now
    """
    made = Made()
    for item in items:
        match item:
            case ChannelsSaid(said=said):
                made.said.append(to_said(said, identity))
            case Faulted(is_sample=False, fault=fault):
                made.count(fault)
            case Faulted(recorded_at=recorded_at, fault=fault) if recorded_at >= since:
                made.set_aside(fault, recorded_at)
            case Recorded(recorded_at=recorded_at, sent_at=at) if min(recorded_at, at) >= since:
                ids = ids_of(item, identity)
                rule = rules.at(ids.channel_id, at)
                if not rule.takes(ids.channel_id, ids.message_id):
                    made.counts[f"{NOT_IN_SAMPLE}{rule.one_in}"] += 1
                    continue
                try:
                    made.samples.append(to_sample(item, identity, ids, rule.one_in))
                except Faulty as error:
                    made.set_aside(error.fault, recorded_at)
            case _:
                made.counts[BEFORE_OPT_IN] += 1
    return made


def meaning_of(call: Any) -> tuple[Problem, bool]:
    """The problem that a status stands for, and whether only a person can mend it."""
    return _TOLD.get(call.code(), (Problem.SERVER_FAULT, False))


def reason_of(rejection: telemetry_pb2.Rejection) -> str:
    try:
        name = telemetry_pb2.Rejection.Reason.Name(rejection.reason).lower()
    except ValueError:  # a reason that is newer than this client
        name = f"reason {rejection.reason}"
    return f"{name}: {tidy(rejection.detail)}" if rejection.detail else name
