"""Turns rows of the database into lines. Pure."""

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from devtelemetry.ingest.merged import CLOCKS
from devtelemetry.model import Outcome, SentAtClock, Source, Via
from devtelemetry.store.keyring import ReceiverIds, installation_pseudonym, pseudonym
from devtelemetry.transfer.fields import NAMES

_OPTIONAL = (
    "envelope_id",
    "platform",
    "app_version",
    "received_at",
    "message_type",
    "message_size",
    "reason",
    "server",
)
"""Fields that are left out if nobody said them; the names of Sample and of the columns"""


_CLOCKS = {
    CLOCKS[clock]: clock.name.lower() for clock in SentAtClock if clock is not SentAtClock.AUTHOR
}


def sample_line(row: Mapping[str, Any]) -> bytes:
    ids = ReceiverIds(row["receiver_id"], row["owner_id"], row["installation_id"])
    values: dict[str, Any] = {
        **({"messageId": row["message"]} if row["message"] else {}),
        "channelId": row["channel"],
        "receiverPublicKey": pseudonym(ids),
        "sentAt": row["sent_at"],
        "createdAt": row["created_at"],
    }
    if row["sent_by_receiver"]:
        values["sentByReceiver"] = True
    if row["topics"]:
        values["topics"] = base64.b64encode(row["topics"]).decode()
    for attribute in _OPTIONAL:
        if row[attribute]:
            values[NAMES[attribute]] = row[attribute]
    if row["outcome"] != Outcome.HELD:
        values["outcome"] = Outcome(row["outcome"]).name.lower()
    if row["via"] != Via.NOT_SAID:
        values["via"] = Via(row["via"]).name.lower()
    if row["clock"] in _CLOCKS:
        values["sentAtClock"] = _CLOCKS[row["clock"]]
    if row["one_in"]:
        values["oneIn"] = row["one_in"]
    if row["source"] != Source.GRPC:
        values["source"] = row["source"]
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def rule_line(row: Mapping[str, Any]) -> bytes:
    values = {
        "samplingSalt": base64.b64encode(row["sampling_salt"]).decode(),
        "oneIn": row["one_in"],
        "from": row["from_at"],
        **({"channelId": row["channel"]} if row["channel"] else {}),
    }
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def run_line(row: Mapping[str, Any], *, is_lost: bool = False) -> bytes:
    values: dict[str, Any] = {
        "installationId": installation_pseudonym(row["installation_id"]),
        "firstSequence": row["first_sequence"],
        "lastSequence": row["last_sequence"],
    }
    if row["first_sent_at"] is not None:
        values |= {"firstSentAt": row["first_sent_at"], "lastSentAt": row["last_sent_at"]}
    if is_lost:
        values["lost"] = True
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def membership_line(row: Mapping[str, Any]) -> bytes:
    ids = ReceiverIds(row["receiver_id"], row["owner_id"], row["installation_id"])
    values = {"channelId": row["channel"], "receiverPublicKey": pseudonym(ids)}
    if row["joined_at"]:
        values |= {"joinedAt": row["joined_at"], "joinedSaidAt": row["created_at"]}
    if row["left_at"] or not row["joined_at"]:
        values |= {"leftAt": row["left_at"], "leftSaidAt": row["created_at"]}
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)
