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

    not_arrived: int = Field(description="No app reports what became of the message.")
    unreadable: int = Field(description="The message arrived and could not be read.")
    not_sent: int = Field(
        description="The author's app reports that it could not send the message, and nobody has "
        "it."
    )
    dropped: int = Field(description="The message arrived, and the app threw it away.")


class Ways(Strict):
    """How a message came to the receivers that hold it and did not write it."""

    live: int
    history: int = Field(description="From an archive or a store.")
    resent: int = Field(description="Asked for, or sent again by its author.")
    not_said: int = Field(description="The receiver does not report how it came.")


class LossPatterns(Strict):
    """Missing pairs, each in the first pattern that fits."""

    lost_by_everyone: int = Field(description="Nobody but its author holds the message.")
    burst: int = Field(
        description="The message is in a run of messages that the receiver lacks and others hold: "
        "was it offline?"
    )
    lost_by_one: int = Field(
        description="Of all receivers that should hold the message, only this one lacks it."
    )
    scattered: int = Field(description="Several receivers lack the message, and others hold it.")


class PairFigures(Losses):
    messages: int
    receivers: int = Field(description="Receivers that count.")
    expected: int = Field(
        description="Pairs of a message and a receiver that should hold it, and that can be judged."
    )
    missing: int = Field(description="Expected pairs without a receipt.")
    unknown: int = Field(description="Pairs that cannot be judged; not in `expected`.")


class Device(Strict):
    platform: str = Field(description="The last platform it reported; empty if it never did.")
    app_version: str = Field(description="The last app version, likewise.")


class LackingReceiver(Strict):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    receiver: str
    loss_class: LossClass = Field(alias="class", description="What became of the message.")
    reason: str = Field(
        description="A code of the receiver's app, for `not_sent` of the author's app; empty if "
        "there is none."
    )
    pattern: LossPattern


class MissingMessageFigures(Losses):
    message_id: str = Field(description="As clients send it; ids can be any text.")
    envelope_id: str = Field(description="Empty if not reported.")
    topics: str = Field(description="Base64.")
    message_type: str = Field(description="Empty if not reported.")
    message_size: int | None = Field(description="Bytes; null if not reported.")
    sent_at: int = Field(description="Unix ms, by the sender's clock.")
    sent_at_iso: datetime
    authors: list[Device] = Field(
        description="The devices on which the message was written, as far as they are known."
    )
    expected: int = Field(description="Receivers that should hold it and can be judged.")
    held: int = Field(description="How many of these hold it.")
    missing: int = Field(description="How many of these lack it.")
    unknown: int = Field(description="Receivers that should hold it and cannot be judged.")
    held_elsewhere: int = Field(
        description="Receivers that hold it but were not expected to, or cannot be judged."
    )
    went_out: bool | None = Field(
        description="Whether it left its author's device: others got it, or it was seen in the "
        "network. False if its author's app reports that it did not; null if not reported."
    )
    ways: Ways
    patterns: LossPatterns
    lacking: list[LackingReceiver] = Field(
        max_length=LISTED,
        description=f"The receivers that lack it, by name; at most {LISTED} of them.",
    )


class RunFigures(Strict):
    first_sent_at: int = Field(description="When the first missing message was sent, in Unix ms.")
    last_sent_at: int = Field(description="When the last missing message was sent, in Unix ms.")
    length: int = Field(description="How many messages are missing.")
    held_by_others: int = Field(description="How many of these somebody holds.")


class LossyReceiverFigures(Losses):
    """Losses of one receiver, in the terms of RFC 3357. Null: too few losses for the figure."""

    receiver: str = Field(description="The first 16 hex digits of its name in an export.")
    platform: str = Field(description="The last platform it reported; empty if it never did.")
    app_version: str = Field(description="The last app version, likewise.")
    expected: int
    missing: int
    unknown: int
    patterns: LossPatterns
    loss_periods: int = Field(
        description="Runs of missing messages, with no message between them that it holds."
    )
    loss_period_length_mean: float | None = Field(
        description="How many messages are missing in a period."
    )
    loss_period_length_max: int
    loss_distance_mean: float | None = Field(
        description="The distance from one loss to the next, in messages; 1 if the very next "
        "message is lost."
    )
    inter_loss_period_length_mean: float | None = Field(
        description="The loss distance from the end of a period to the start of the next period."
    )
    inter_loss_period_length_min: int | None
    runs: list[RunFigures] = Field(
        max_length=LISTED,
        description=f"Its loss periods, oldest first; at most the {LISTED} longest.",
    )


class MissingDocument(PairFigures):
    """The missing messages of one channel in one window, from the present samples."""

    channel_id: str
    timeframe: str = Field(examples=["1h"])
    start: datetime
    end: datetime
    membership: MembershipPolicy
    burst: int = Field(description="How many messages that others hold make a run a burst.")
    patterns: LossPatterns
    stored: PairFigures | None = Field(
        description="The same counts in the computed window. They differ if samples or settings "
        "have changed since. Null if it was not computed, or does not have the channel."
    )
    limit: int
    offset: int
    missing_messages_total: int
    missing_messages: list[MissingMessageFigures] = Field(
        description="Messages that a receiver lacks: first those that most receivers lack, then by "
        "time."
    )
    lossy_receivers_total: int
    lossy_receivers: list[LossyReceiverFigures] = Field(
        description="Receivers that lack messages: first those that lack most, then by name."
    )


_Receiver = Annotated[int, BeforeValidator(parse_receiver, json_schema_input_type=str)]


class _Query(Strict):
    """An unknown parameter is an error, because an answer that ignores it would mislead."""

    channel: str = Field(min_length=1, description="The channel, as clients name it.")
    timeframe: TimeframeName | None = Field(
        None,
        description="Length of the window; default: the shortest configured timeframe. The window "
        "need not be computed.",
    )
    start: Moment | Literal["latest"] = Field(
        "latest",
        description="When the window starts (ISO 8601), or `latest` for the latest computed window "
        "that has the channel.",
    )
    membership: MembershipPolicy | None = Field(
        None,
        description="The membership policy, which says which receivers count; default: the "
        "configured one.",
    )
    receiver: _Receiver | None = Field(
        None,
        description="Show only what this receiver lacks. Name it as in this answer, or as in an "
        "export.",
    )
    burst: int = Field(
        BURST_MESSAGES,
        ge=2,
        le=MOST_MESSAGES,
        description="How many messages that others hold make a run of missing messages a burst.",
    )
    limit: int = Field(
        LISTED,
        ge=1,
        le=MOST_LISTED,
        description="The greatest number of messages, and of receivers, in the answer.",
    )
    offset: int = Field(
        0,
        ge=0,
        le=MOST_MESSAGES,
        description="How many messages, and how many receivers, to leave out first.",
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
        summary="Which messages of a channel are missing, at which receivers, in which pattern",
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
