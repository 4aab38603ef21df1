"""Which messages are reported, by the server's rules of sampling. Others leave no sample here.

All receivers of a message decide alike, by its ids as they are sent (telemetry.proto, Sampling).
"""

import logging
import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from devtelemetry.client.blind import MAX_ID_BYTES
from devtelemetry.client.lost import LATEST
from devtelemetry.v1 import telemetry_pb2
from devtelemetry.v1.sampling import is_in_sample, is_rate

MAX_RULES = 10_000  # of all channels together
_MAX_SALT_BYTES = 64
_OLDEST_MS = 8 * 86_400_000  # the server takes no samples of older messages
_COLUMNS = "channel_id, since, one_in, salt"
_LOG = logging.getLogger("devtelemetry.client")


class Rule(NamedTuple):
    """One message in one_in is reported, among those sent from `since` on (Unix ms).

    channel_id  as it is sent; empty: every channel without a rule of its own
    """

    channel_id: str
    since: int
    one_in: int
    salt: bytes

    def takes(self, channel_id: str, message_id: str) -> bool:
        """Whether a message is reported. Ids as they are sent.

        A message without an id always is, because the choice is made by the id.
        """
        return not message_id or is_in_sample(self.one_in, self.salt, channel_id, message_id)


EVERYTHING = Rule("", 0, 1, b"")


class Rules:
    """The rules in force, looked up by channel and time."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_channel = _by_channel(rules)

    def at(self, channel_id: str, sent_at: int) -> Rule:
        """The latest rule of the channel that began by `sent_at`; else of the rules for every
        channel; else EVERYTHING."""
        for named in (channel_id, ""):
            rules = self._by_channel.get(named, ())
            begun = bisect_right(rules, sent_at, key=lambda rule: rule.since)
            if begun:
                return rules[begun - 1]
        return EVERYTHING


def read(connection: sqlite3.Connection, limit: int = -1) -> list[Rule]:
    """The stored rules, at most `limit`; all if it is negative."""
    rows = connection.execute(
        f"select {_COLUMNS} from telemetry_sampling order by channel_id, since limit ?",  # noqa: S608 - our own names
        (limit,),
    )
    return [Rule(*row) for row in rows]


def to_sampling(rule: Rule) -> telemetry_pb2.Sampling:
    sampling = telemetry_pb2.Sampling(
        one_in=rule.one_in, salt=rule.salt, channel_id=rule.channel_id
    )
    setattr(sampling, "from", rule.since)  # `from` is a keyword of Python
    return sampling


def remember(
    connection: sqlite3.Connection, told: Sequence[telemetry_pb2.Sampling], now_ms: int
) -> None:
    """Replaces stored rules by those of an answer.

    If the answer has none, all stored rules are deleted. Else it replaces the rules of the channels
    that it names, and the rules for every channel.
    """
    if not told:
        connection.execute("delete from telemetry_sampling")
        return
    rules = _without_ended(_checked(told), now_ms)
    named = [(channel_id,) for channel_id in sorted({"", *(rule.channel_id for rule in rules)})]
    known = [
        Rule(*row)
        for channel in named
        for row in connection.execute(
            f"select {_COLUMNS} from telemetry_sampling where channel_id = ? order by since",  # noqa: S608
            channel,
        )
    ]
    if known == rules:
        return  # as after nearly every answer: nothing is written
    connection.executemany("delete from telemetry_sampling where channel_id = ?", named)
    (others,) = connection.execute("select count(*) from telemetry_sampling").fetchone()
    room = MAX_RULES - others
    connection.executemany(
        f"insert into telemetry_sampling ({_COLUMNS}) values (?, ?, ?, ?)",  # noqa: S608
        rules[:room],
    )
    if len(rules) > room:
        _LOG.warning(
            "%d rules of sampling are left out, because there are too many", len(rules) - room
        )


def _checked(told: Iterable[telemetry_pb2.Sampling]) -> list[Rule]:
    """The rules, at most one for each channel and time.

    A rule with an impossible rate or salt becomes one that reports everything: too many samples are
    better than too few.
    """
    rules, faulty = dict[tuple[str, int], Rule](), 0
    for one in told:
        rule = Rule(one.channel_id, getattr(one, "from"), one.one_in, one.salt)
        is_placed = rule.since <= LATEST and len(rule.channel_id.encode()) <= MAX_ID_BYTES
        is_sound = is_rate(rule.one_in) and len(rule.salt) <= _MAX_SALT_BYTES
        faulty += not (is_placed and is_sound)
        if is_placed:
            where = rule[:2]
            rule = rule if is_sound else Rule(*where, 1, b"")
            rules[where] = min(rule, rules.get(where, rule))
    if faulty:
        _LOG.warning(
            "%d rules of sampling from the server have impossible values and are not used", faulty
        )
    return list(rules.values())


def _without_ended(rules: Iterable[Rule], now_ms: int) -> list[Rule]:
    """The rules, ascending, without those that apply only to messages that are too old.

    A rule ends when the next one of its channel begins.
    """
    oldest = now_ms - _OLDEST_MS
    kept = []
    for _, of_one in sorted(_by_channel(rules).items()):
        kept += [rule for rule, later in pairwise(of_one) if later.since > oldest]
        kept.append(of_one[-1])
    return kept


def _by_channel(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """The rules of each channel, ascending by time."""
    found = defaultdict[str, list[Rule]](list)
    for rule in sorted(rules):
        found[rule.channel_id].append(rule)
    return dict(found)
