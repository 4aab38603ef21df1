"""Between the outbox and the wire: what a request holds, and what an answer means."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from devtelemetry.client.blind import pseudonym
from devtelemetry.client.outbox import Claim, Identity, NewSample
from devtelemetry.client.recorder import ChannelsSaid
from devtelemetry.client.sample import Recorded, tidy, to_lost, to_membership, to_said, to_sample
from devtelemetry.client.settings import Problem
from devtelemetry.client.stays import Said
from devtelemetry.v1 import telemetry_pb2

_LOG = logging.getLogger("devtelemetry.client")

# What a status means: whether a person has to mend it, and what it is called.
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
    """What the app says of itself; settings of the user go before its server and token.

    tls  None: TLS but on loopback. True, False: always, never. A path: PEM of the authorities
    """

    server: str
    token: str
    tls: bool | Path | None
    receiver_public_key: str
    platform: str
    app_version: str
    messenger_server: str  # home server, relay or node that the app talks to


def reporter_of(app: App, identity: Identity, app_version: str) -> telemetry_pb2.Reporter:
    """Who reports. app_version: of the app when it recorded what is sent."""
    key = app.receiver_public_key
    if not identity.send_real_key:
        key = pseudonym(identity.secret, key)
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
    )


def samples_of(
    items: Iterable[Recorded | ChannelsSaid], identity: Identity, since: int
) -> Iterator[NewSample]:
    """Whoever opts in speaks of what comes, not of what was."""
    for item in items:
        if isinstance(item, Recorded) and item.recorded_at >= since:
            new = to_sample(item, identity)
            if new.sent_at >= since or new.reason:
                yield new


def said_of(items: Iterable[Recorded | ChannelsSaid], identity: Identity) -> Iterator[Said]:
    for item in items:
        if isinstance(item, ChannelsSaid):
            try:
                yield to_said(item.said, identity)
            except ValueError as error:  # UnicodeEncodeError is one
                _LOG.warning("a membership cannot be reported: %s", error)


def meaning_of(call: Any) -> tuple[Problem, bool]:
    """What a status is called, and whether a person has to mend it."""
    return _TOLD.get(call.code(), (Problem.SERVER_FAULT, False))


def reason_of(rejection: telemetry_pb2.Rejection) -> str:
    try:
        name = telemetry_pb2.Rejection.Reason.Name(rejection.reason).lower()
    except ValueError:  # a reason that is younger than this client
        name = f"reason {rejection.reason}"
    return f"{name}: {tidy(rejection.detail)}" if rejection.detail else name
