"""The kinds of findings. Pure.

Each kind has a rule over counts, a text for people, and a remedy.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from devtelemetry import words

Evidence = Mapping[str, int]
"""Counts by name; the text of each kind has the names in braces"""


class Kind(StrEnum):
    IDS_DIFFER = "ids_differ"
    CLOCKS_MIXED = "clocks_mixed"
    NOT_MILLISECONDS = "not_milliseconds"
    NEVER_LEAVES = "never_leaves"
    LEAVES_TOO_OFTEN = "leaves_too_often"
    MEMBERSHIP_NOT_SAID = "membership_not_said"
    MANY_KEYS = "many_keys"
    MANY_INSTALLATIONS = "many_installations"
    SENDING_NOT_SAID = "sending_not_said"
    HISTORY_AS_LIVE = "history_as_live"


class Meaning(NamedTuple):
    """what: a text with the names of counts in braces; section: of docs/messengers.md"""

    what: str
    remedy: str
    section: str


MEANINGS: Mapping[Kind, Meaning] = {
    Kind.IDS_DIFFER: Meaning(
        "Ids seem to differ between devices: {lone} of {messages} messages in {channels} channels "
        "are known to only one device. For {twins} of the {looked_at} that were looked at, there "
        "is another message of the same time that this device does not know.",
        "Give a message the same id on its author's device as on all others.",
        "ids",
    ),
    Kind.CLOCKS_MIXED: Meaning(
        "Samples of the same message give different times by the same clock: {receivers_apart} of "
        "{receivers_said} samples by receivers and {authors_apart} of {authors_said} by authors "
        "differ from the others, by {median_ms} ms in the median.",
        "Report whose clock a time is from (sent_at_clock). Report the time in the message, not "
        "the time when it arrived.",
        "times",
    ),
    Kind.NOT_MILLISECONDS: Meaning(
        "{times} times were refused because they are not Unix milliseconds. They look like "
        "seconds or microseconds, or like no time at all. Samples with such a time are in no "
        "figure.",
        "Report all times in milliseconds since 1970.",
        "times",
    ),
    Kind.NEVER_LEAVES: Meaning(
        "{receivers} receivers report that they are in {claimed} channels where messages were "
        "sent, but hold nothing in {empty} of them. All messages there count as lost.",
        "Call channel_left when the user leaves, and report the whole list (channels_are) at each "
        "start.",
        "membership",
    ),
    Kind.LEAVES_TOO_OFTEN: Meaning(
        "{flapping} of {memberships} memberships were left three times or more in a day. Messages "
        "that are lost while a device is disconnected are then not expected, so the figures look "
        "better than they are.",
        "Call channel_left when the user leaves, never when a connection is lost or the app ends.",
        "membership",
    ),
    Kind.MEMBERSHIP_NOT_SAID: Meaning(
        "{unsaid} of {memberships} memberships were never reported. {began} of them begin after "
        "other messages of the channel, and {ended} end before the channel's last messages. "
        "Whether those other messages were lost is unknown, so they are not expected.",
        "Call channel_joined and channel_left, or report the whole list (channels_are) at each "
        "start.",
        "membership",
    ),
    Kind.MANY_KEYS: Meaning(
        "{reporters} installations report under {names} keys, one of them under {most}. Each key "
        "is a new receiver, so messages that are lost between two keys are not expected.",
        "Report under one key for each account, and keep the settings' file between starts.",
        "membership",
    ),
    Kind.MANY_INSTALLATIONS: Meaning(
        "{reporters} keys report from {names} installations, one of them from {most}. Each "
        "installation is a new receiver, so messages that are lost between two installations are "
        "not expected.",
        "Keep the settings' file (or the installation's id) between starts.",
        "membership",
    ),
    Kind.SENDING_NOT_SAID: Meaning(
        "{receivers} receivers report {receipts} messages that they received and none that they "
        "sent. Losses on the sender's side are not seen, and an echo may count as a receipt.",
        "Call message_sent for what this device sends, and do not report its echo.",
        "echo",
    ),
    Kind.HISTORY_AS_LIVE: Meaning(
        "{receipts} messages came more than five minutes late, in {bursts} bursts of up to ten "
        "seconds, and were reported as live. They look as if they came from a history.",
        "Report messages from an archive, a store or a gap with via=HISTORY.",
        "history",
    ),
}


def is_one(kind: Kind, found: Evidence) -> bool:
    """Whether these counts, of one platform and app version, are a finding.

    The rules ask for far more than losses alone can cause, because a correct app must never be
    reported as wrong.
    """
    return _RULES[kind](found)


_RULES: Mapping[Kind, Callable[[Evidence], bool]] = {
    # The SQL counts a channel in `channels` if at least half of its messages are alone, and at
    # least half of those that were looked at have a twin.
    Kind.IDS_DIFFER: lambda found: 10 * found["channels"] >= found["of_channels"] > 0,
    Kind.CLOCKS_MIXED: lambda found: (
        (
            found["receivers_said"] >= 20
            and 10 * found["receivers_apart"] >= 3 * found["receivers_said"]
        )
        or (found["authors_said"] >= 10 and 2 * found["authors_apart"] >= found["authors_said"])
    ),
    Kind.NOT_MILLISECONDS: lambda found: found["times"] >= 10,
    Kind.NEVER_LEAVES: lambda found: found["receivers"] >= 1,
    Kind.LEAVES_TOO_OFTEN: lambda found: (
        found["flapping"] >= 3 and 2 * found["flapping"] >= found["memberships"]
    ),
    Kind.MEMBERSHIP_NOT_SAID: lambda found: (
        found["unsaid"] >= 3
        and 2 * found["unsaid"] >= found["memberships"]
        and 10 * (found["began"] + found["ended"]) >= found["unsaid"]
    ),
    Kind.MANY_KEYS: lambda found: found["reporters"] >= 1,
    Kind.MANY_INSTALLATIONS: lambda found: found["reporters"] >= 1,
    # It sent nothing, but would have sent at least 20 messages at the rate of other versions. If
    # no other version sent anything either, it takes 1,000 receipts.
    Kind.SENDING_NOT_SAID: lambda found: (
        not found["sent"]
        and found["receivers"] >= 3
        and (
            found["receipts"] * found["sent_by_others"] >= 20 * found["receipts_of_others"] > 0
            or (not found["sent_by_others"] and found["receipts"] >= 1_000)
        )
    ),
    Kind.HISTORY_AS_LIVE: lambda found: found["receipts"] >= 20,
}


def what(kind: Kind, found: Evidence) -> str:
    """A sentence or two for a person."""
    return MEANINGS[kind].what.format(**{name: words.count(value) for name, value in found.items()})
