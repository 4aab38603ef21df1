"""Figures of a sample are those of all data, restricted to the messages in the sample."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.causes.read import drill_down
from devtelemetry.causes.request import MissingRequest
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.ingest.said import Heartbeat
from devtelemetry.ingest.submission import Submission
from devtelemetry.ingest.writer import GroupCommit, QueueLimits
from devtelemetry.model import HOUR_MS, MINUTE_MS, MembershipPolicy, from_unix_ms, parse_timeframe
from devtelemetry.store.database import Database
from devtelemetry.store.sampling import OF_ALL, add_rules
from oracle.model import OracleSample, compute
from support.compared import figures, oracle_figures
from support.store import LATER, START, as_samples, compute_window, empty

END = START + HOUR_MS
CHANNEL = "c1"
SALT = b"salt"
HOUR = parse_timeframe("1h")
RECEIVERS = ("a", "b", "c", "d")
ALWAYS = START - 40 * HOUR_MS
Rules = Mapping[int, int]  # sentAt from which the rule is in force → its one in n


def is_in(one_in: int, salt: bytes, message_id: str) -> bool:
    """Whether a message is in the sample, by docs/algorithm.md."""
    digest = hashlib.blake2b(salt + CHANNEL.encode() + b"\0" + message_id.encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big") % one_in == 0


def at(rules: Rules, sent_at: int) -> int:
    return rules[max(begin for begin in rules if begin <= sent_at)]


def coarsest(rules: Rules) -> int:
    return max(at(rules, START), *(rules[begin] for begin in rules if START < begin < END), 1)


@dataclass(frozen=True)
class Reporter:
    """A receiver, which knows the rules up to some moment, or none."""

    knows_until: int | None

    def one_in(self, rules: Rules, sent_at: int) -> int:
        if self.knows_until is None:
            return 1
        until = self.knows_until
        return at({begin: rate for begin, rate in rules.items() if begin <= until}, sent_at)


async def push(
    database: Database,
    salt: bytes,
    rules: Rules,
    reporters: Mapping[str, Reporter],
    samples: Iterable[OracleSample],
    cut: int,
) -> list[OracleSample]:
    """Pushes what clients with this knowledge of the rules record; returns that."""
    recorded: list[OracleSample] = []
    batches = defaultdict[tuple[str, int, bool], list[OracleSample]](list)
    for number, sample in enumerate(samples):
        one_in = reporters[sample.receiver_public_key].one_in(rules, sample.sent_at)
        if is_in(one_in, salt, sample.message_id):
            recorded.append(sample)
            batches[sample.receiver_public_key, one_in, number < cut].append(sample)
    async with GroupCommit(
        database,
        await database.keyring(),
        settle_rule=SettleRule(),
        limits=QueueLimits(),
        now_ms=lambda: END + HOUR_MS,
    ) as writer:
        for (_, one_in, _), batch in batches.items():
            await writer.submit(Submission(samples=as_samples(batch), one_in=one_in))
        for receiver in RECEIVERS:
            await writer.submit(
                Submission(heartbeats=[Heartbeat(receiver, "", "", "", END + 2 * HOUR_MS)])
            )
    return recorded


def is_of_coarse(sample: OracleSample, reporters: Mapping[str, Reporter], rules: Rules) -> bool:
    """Whether the reporter recorded a coarser sample than the window's."""
    own = reporters[sample.receiver_public_key].one_in(rules, sample.sent_at)
    since = None
    for begin in sorted(rules):
        if begin <= sample.sent_at:
            since = None if rules[begin] >= own else begin if since is None else since
    return own > coarsest(rules) and since is not None and since < END and sample.sent_at >= START


async def set_rules(database: Database, rules: Rules) -> bytes:
    """Stores the rules; returns the salt, which is the same in each run."""
    async with database.acquire() as connection:
        for begin, one_in in rules.items():
            await add_rules(connection, {OF_ALL: one_in}, begin)
        await connection.execute("update deployment set sampling_salt = $1", SALT)
    return SALT


@st.composite
def messages(draw: st.DrawFn) -> list[OracleSample]:
    samples = []
    for number in range(draw(st.integers(4, 30))):
        sent_at = START + draw(st.integers(-30, 90)) * MINUTE_MS + number
        author = draw(st.sampled_from(RECEIVERS))
        holders = draw(st.sets(st.sampled_from(RECEIVERS))) | {author}
        samples += [
            OracleSample(
                f"m{number}", CHANNEL, one, sent_at, sent_at + 5_000, sent_by_receiver=one == author
            )
            for one in sorted(holders)
        ]
    return samples


RATES = st.sampled_from([1, 2, 4])
BEFORE = START - HOUR_MS
MOMENTS = st.sampled_from([BEFORE, START, START + 1, START + HOUR_MS // 2, END - 1, END])
# Half of the rules become finer before the window, so that some receivers do not know it yet.
RULES = st.builds(
    lambda first, finer, then: {ALWAYS: first, **finer, **then},
    st.sampled_from([1, 4, 8]),
    st.just({}) | st.builds(lambda at, rate: {at: rate}, st.sampled_from([BEFORE, START]), RATES),
    st.dictionaries(MOMENTS, RATES, max_size=2),
)
REPORTERS = st.builds(Reporter, st.none() | st.just(ALWAYS) | MOMENTS)


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_a_sampled_window_has_the_figures_of_all_data_less_what_is_not_in_the_sample(
    data: st.DataObject, database: Database
) -> None:
    rules = data.draw(RULES)
    reporters = data.draw(st.fixed_dictionaries(dict.fromkeys(RECEIVERS, REPORTERS)))
    samples = data.draw(messages())
    await empty(database)
    salt = await set_rules(database, rules)

    cut = data.draw(st.integers(0, len(samples)))
    recorded = await push(database, salt, rules, reporters, samples, cut)

    one_in = coarsest(rules)
    # A receiver that recorded a coarser sample does not count, as if it did not report.
    coarse = {
        sample.receiver_public_key for sample in recorded if is_of_coarse(sample, reporters, rules)
    }
    left = [
        sample
        for sample in recorded
        if is_in(one_in, salt, sample.message_id)
        and is_in(at(rules, sample.sent_at), salt, sample.message_id)
        and (sample.sent_at < END or sample.receiver_public_key not in coarse)
    ]
    # With several rules, samples of before a rule can show that a receiver was in the channel. Only
    # the policy `window` does not depend on that.
    membership = data.draw(
        st.sampled_from(MembershipPolicy if len(rules) == 1 else [MembershipPolicy.WINDOW])
    )
    window = await compute_window(database, membership=membership)
    expected = compute(
        left,
        START,
        END,
        membership.value,
        heartbeats={(name, ""): END + 2 * HOUR_MS for name in RECEIVERS if name not in coarse},
    )
    assert figures(window) == oracle_figures(expected)
    asked = MissingRequest(CHANNEL, HOUR, from_unix_ms(START))
    policy = AggregateRules((HOUR,), membership=membership)
    for channel in window.channels:
        async with drill_down(database, policy, asked, now=lambda: LATER) as found:
            assert found.counts == channel.counts
        assert channel.figures.one_in == one_in
        assert channel.figures.estimated_messages == one_in * channel.counts.messages
