"""`/api/v1/missing`: the missing messages of a channel in a window."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator, ConfigDict, Field

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.api.parameters import Moment, Problem, Strict, TimeframeName
from devtelemetry.causes.classify import BURST_MESSAGES, LossPattern
from devtelemetry.causes.document import LISTED, as_bytes, page
from devtelemetry.causes.read import MOST_MESSAGES, drill_down
from devtelemetry.causes.request import (
    BadWindow,
    DrillDownError,
    MissingRequest,
    SamplesCleaned,
    TooMuch,
)
from devtelemetry.model import LossClass, MembershipPolicy
from devtelemetry.runtime.clock import utc_now
from devtelemetry.store.database import Database
from devtelemetry.store.keyring import parse_receiver

MOST_LISTED = 1_000  # messages, and receivers, in one answer
AT_ONCE = 2  # each keeps its pairs in memory and a connection, so more of them have to wait

_STATUS: Mapping[type[DrillDownError], int] = {
    SamplesCleaned: 410,
    BadWindow: 422,
    TooMuch: 422,
}


class Losses(Strict):
    """Missing pairs by class; the classes add up to `missing`."""

    not_arrived: int = Field(description="Those of `missing` of which nobody says what became.")
    unreadable: int = Field(description="Those that arrived and could not be read.")
    not_sent: int = Field(
        description="Those of messages whose author could not send them, and that nobody got."
    )
    dropped: int = Field(description="Those that arrived and that the app threw away.")


class Ways(Strict):
    """How a message came to the receivers that hold it and did not write it."""

    live: int
    history: int = Field(description="From an archive or a store.")
    resent: int = Field(description="Asked for, or sent again by its author.")
    not_said: int


class LossPatterns(Strict):
    """Missing pairs, each in the first pattern that fits."""

    lost_by_everyone: int = Field(description="Nobody but its author holds it.")
    burst: int = Field(
        description="In a run of losses of messages that others got: was the receiver offline?"
    )
    lost_by_one: int = Field(description="One receiver alone lacks what it was expected to hold.")
    scattered: int = Field(description="Several lack it, and others hold it.")


class PairFigures(Losses):
    messages: int
    receivers: int = Field(description="That count.")
    expected: int = Field(description="(message, receiver) pairs that should be there.")
    missing: int = Field(description="Those of them without a receipt.")
    unknown: int = Field(description="Pairs of which nothing can be said; not in `expected`.")


class Device(Strict):
    platform: str = Field(description="The last one it said; empty: it never did.")
    app_version: str = Field(description="The same.")


class LackingReceiver(Strict):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    receiver: str
    loss_class: LossClass = Field(alias="class", description="What became of it.")
    reason: str = Field(
        description="A code of its app's, or of the author's if it was not sent. Empty: not said."
    )
    pattern: LossPattern


class MissingMessageFigures(Losses):
    message_id: str = Field(description="As clients send it, like all ids: any text.")
    envelope_id: str = Field(description="Empty: none was said.")
    topics: str = Field(description="Base64.")
    message_type: str = Field(description="Empty: not said.")
    message_size: int | None = Field(description="Bytes; null: not said.")
    sent_at: int = Field(description="Unix ms, by the sender's clock.")
    sent_at_iso: datetime
    authors: list[Device] = Field(
        description="On what it was written, where that is known; each of several devices."
    )
    expected: int = Field(description="Receivers that should hold it, of whom it is known.")
    held: int = Field(description="Those of them that do.")
    missing: int = Field(description="Those that do not.")
    unknown: int = Field(description="Receivers that should, and of whom it is not known.")
    held_elsewhere: int = Field(
        description="Receivers that hold it and of whom it is not expected, or not known."
    )
    went_out: bool | None = Field(
        description="Whether it left its author's device: others got it, or it was seen in the "
        "network. False: its author says it did not. Null: nobody says."
    )
    ways: Ways
    patterns: LossPatterns
    lacking: list[LackingReceiver] = Field(
        max_length=LISTED, description=f"Who lacks it, by name; {LISTED} of them at most."
    )


class RunFigures(Strict):
    first_sent_at: int = Field(description="Unix ms: sentAt of the first message lost.")
    last_sent_at: int = Field(description="Of the last one.")
    length: int = Field(description="Messages lost.")
    held_by_others: int = Field(description="Those of them that somebody holds.")


class LossyReceiverFigures(Losses):
    """Losses of one receiver, in the terms of RFC 3357. Null: too few losses for the figure."""

    receiver: str = Field(description="16 hex digits, the first ones of its name in an export.")
    platform: str = Field(description="The last one it said; empty: it never did.")
    app_version: str = Field(description="The same.")
    expected: int
    missing: int
    unknown: int
    patterns: LossPatterns
    loss_periods: int = Field(description="Runs of losses that no message it holds divides.")
    loss_period_length_mean: float | None = Field(description="Messages lost in one.")
    loss_period_length_max: int
    loss_distance_mean: float | None = Field(
        description="From one loss to the next, in messages: 1 is the one after."
    )
    inter_loss_period_length_mean: float | None = Field(
        description="Loss distance from the end of a period to the beginning of the next one."
    )
    inter_loss_period_length_min: int | None
    runs: list[RunFigures] = Field(
        max_length=LISTED,
        description=f"Its loss periods, in the order of time; the {LISTED} longest of them.",
    )


class MissingDocument(PairFigures):
    """The missing messages of one channel in one window, from the present samples."""

    channel_id: str
    timeframe: str = Field(examples=["1h"])
    start: datetime
    end: datetime
    membership: MembershipPolicy
    burst: int = Field(description="From so many messages on, which others got, a run is a burst.")
    patterns: LossPatterns
    stored: PairFigures | None = Field(
        description="What the computed window has; differs where samples or settings changed "
        "since. Null: it was not computed, or has nothing of the channel."
    )
    limit: int
    offset: int
    missing_messages_total: int
    missing_messages: list[MissingMessageFigures] = Field(
        description="That somebody lacks; what most lack first, then by time."
    )
    lossy_receivers_total: int
    lossy_receivers: list[LossyReceiverFigures] = Field(
        description="That lack something; who lacks most first, then by name."
    )


_Receiver = Annotated[int, BeforeValidator(parse_receiver, json_schema_input_type=str)]


class _Query(Strict):
    """An unknown parameter is an error, because an answer that ignores it would mislead."""

    channel: str = Field(min_length=1, description="The channel, as clients name it.")
    timeframe: TimeframeName | None = Field(
        None,
        description="Length of the window, computed or not; default: the shortest computed.",
    )
    start: Moment | Literal["latest"] = Field(
        "latest",
        description="When the window starts (ISO 8601), or the latest that is computed and has "
        "figures of the channel.",
    )
    membership: MembershipPolicy | None = Field(
        None, description="Which receivers count; default: as configured."
    )
    receiver: _Receiver | None = Field(
        None, description="What this receiver alone lacks; as it is named here, or in an export."
    )
    burst: int = Field(
        BURST_MESSAGES,
        ge=2,
        le=MOST_MESSAGES,
        description="From so many messages on, which others got, a run of losses is a burst.",
    )
    limit: int = Field(
        LISTED, ge=1, le=MOST_LISTED, description="Messages, and receivers, at most."
    )
    offset: int = Field(
        0, ge=0, le=MOST_MESSAGES, description="Of messages and of receivers, leave out so many."
    )


def add_missing(
    app: FastAPI, database: Database, rules: AggregateRules, may_read: list[Any]
) -> None:
    """may_read: the checks that readers of figures must pass"""
    places = asyncio.Semaphore(AT_ONCE)

    @app.exception_handler(DrillDownError)
    async def cannot(_: Request, error: Exception) -> Response:
        status = _STATUS.get(type(error), 422) if isinstance(error, DrillDownError) else 500
        return JSONResponse({"detail": str(error)}, status)

    @app.get(
        "/api/v1/missing",
        summary="Which messages of a channel are missing, at whom, and in which pattern",
        tags=["figures"],
        response_model=MissingDocument,
        responses={status: {"model": Problem} for status in (401, 404, 410, 503)},
        dependencies=may_read,
    )
    async def missing(query: Annotated[_Query, Query()]) -> Response:
        """The answer is available as long as the samples of the window are kept.

        `docs/causes.md` defines classes and patterns, and says what the answer shows about persons.
        """
        asked_rules = rules
        if query.membership is not None:
            asked_rules = replace(rules, membership=query.membership)
        asked = MissingRequest(
            query.channel,
            rules.timeframe(query.timeframe or rules.timeframes[0].name),
            None if query.start == "latest" else query.start,
            query.burst,
        )
        async with places, drill_down(database, asked_rules, asked, now=utc_now) as found:
            content = await page(found, only=query.receiver, limit=query.limit, offset=query.offset)
        return Response(as_bytes(content), media_type="application/json")
