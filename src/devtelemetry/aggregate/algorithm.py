"""The algorithm over the receipts of one window: several statements in one transaction.

docs/algorithm.md defines what they compute. docs/adr/0022-each-pass-a-statement.md says why it is
not one statement.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, NamedTuple

from devtelemetry.aggregate.dimensions import OF_AUTHORS, OUTCOMES, of_table
from devtelemetry.aggregate.pulled import pulled
from devtelemetry.aggregate.rollup import computed
from devtelemetry.aggregate.rules import AggregateRules, Unmeasured
from devtelemetry.aggregate.sampled import coarse_of, restricted, with_estimates
from devtelemetry.aggregate.stays import stays_of_membership
from devtelemetry.model import AUDIT_CHANNELS, Dimension, Source, Window
from devtelemetry.model.sampling import Sampling
from devtelemetry.results.columns import SQL
from devtelemetry.results.rows import Computed, Row
from devtelemetry.store import whole
from devtelemetry.store.database import Connection
from devtelemetry.store.distribution import is_distributed
from devtelemetry.store.sampling import read_sampling
from devtelemetry.store.sql import arrays, load, queries

MOST_KINDS = 20
"""How many message types of a channel are told apart"""

MOST_VALUES = 50
"""How many values of a dimension a window or channel shows"""

MOST_CLASSES = 200
"""How many combinations of what receivers say of themselves breakdowns by author tell apart"""

MOST_REASONS = 20
"""How many reasons for missing pairs a window or channel tells apart"""

_MEASURED = load(__package__, "measured.sql")
_HELD = load(__package__, "held.sql")
_CORROBORATED = load(__package__, "corroborated.sql")
_COUNTED = load(__package__, "counted.sql")
_CLAIMED = load(__package__, "claimed.sql")
_RARE_KINDS = queries(__package__, "rare_kinds.sql")
_QUERIES = queries(__package__)

# Messages are read in the order of the key, so that none waits in a hash table. Workers pass on few
# rows, so a row from a worker is planned as free. Each of two workers reads one slice of time: no
# scan is large enough to be shared by both, and the leader takes no slice from them. The planner
# still starts no workers for a window of some thousand receipts, which is done before they start.
_FOR_MEASURED = """
set local work_mem = '128MB';
set local enable_hashagg = off;
set local min_parallel_index_scan_size = '1TB';
set local min_parallel_table_scan_size = '1TB';
set local parallel_leader_participation = off;
set local parallel_tuple_cost = 0
"""
_FOR_HELD = """
set local enable_hashagg = on;
set local min_parallel_index_scan_size to default;
set local min_parallel_table_scan_size to default;
set local hash_mem_multiplier = 2;
set local work_mem = '{kb}kB'
"""
# As for `measured`. But the counts are few, so a hash table holds them.
_FOR_AUTHORED = """
set local work_mem = '128MB';
set local hash_mem_multiplier to default;
set local enable_sort = off;
set local enable_mergejoin = off;
set local enable_nestloop = off;
set local min_parallel_index_scan_size = '1TB';
set local min_parallel_table_scan_size = '1TB'
"""
# The planner must guess how many rows each step has. After a wrong guess a nested loop takes hours,
# a hash join only a little longer. A merge join would sort rows that carry whole timelines.
_FOR_THE_REST = """
set local hash_mem_multiplier to default;
set local work_mem = '128MB';
set local enable_nestloop = off;
set local enable_mergejoin = off;
set local enable_sort = off
"""
# Memory for each membership, doubled for hashes: enough for a dozen combinations of kind and state.
# If there are more, PostgreSQL writes the rare ones to disk. It sizes the hash table for half of
# what fits.
_HELD_KB_A_MEMBERSHIP = 1
_LEAST_HELD_KB, _MOST_HELD_KB = 4_096, 131_072
_CURSOR_MEMBERSHIPS = 5_000


# Dropped because the transaction may compute again, with tables of the same names.
_DROP = "drop table kind_of_window, measured, held, rare_kind, counted, claimed, member"

_WITH_RECEIVERS = "receipt left join receiver using (receiver_id)"
_WITH_VOUCHERS = (
    "left join receiver first_one on first_one.receiver_id = voucher "
    "left join receiver last_one on last_one.receiver_id = last_voucher"
)


async def run_algorithm(
    connection: Connection,
    rules: AggregateRules,
    window: Window,
    table: tuple[Dimension, Dimension] | None = None,
) -> Computed:
    """Computes the window. Runs in a transaction over one snapshot of repaired rows, and changes
    settings of that transaction.

    table  if given, groups by these two dimensions together replace those by author and path
    """
    sampling = await read_sampling(connection)
    async with restricted(connection, sampling, window):
        found = await _run(connection, rules, window, sampling, table)
    return with_estimates(found, sampling, window)


async def count_versions(
    connection: Connection,
    rules: AggregateRules,
    window: Window,
    versions: Sequence[str],
    platform: str | None,
) -> Sequence[Row]:
    """What was expected of each receiver that has one of the app versions: rows of versions.sql.
    Runs in a transaction as run_algorithm does.

    platform  counts only receivers on this platform; None: on any
    """
    sampling = await read_sampling(connection)
    async with restricted(connection, sampling, window):
        texts = of_table(Dimension.PLATFORM, Dimension.APP_VERSION)
        counted = await _count(connection, rules, window, sampling, texts)
        async with counted.pulled_for_pairs():
            rows: Sequence[Row] = await connection.fetch(
                load(
                    __package__, "reliability.sql", end="versions.sql", **OUTCOMES, **counted.told
                ),
                **counted.named,
                audit_channels=_like(AUDIT_CHANNELS + "*"),
                versions=list(versions),
                platform=platform,
            )
        await connection.execute(_DROP)
    return rows


class _Counted(NamedTuple):
    """What the statements after `member` need.

    told   texts of reliability.sql: the kind that a receipt counts for
    named  parameters of reliability.sql
    unmeasured  parameters of is_measured.sql
    pulled_for_pairs  a block in which reliability.sql can run
    """

    told: Mapping[str, str]
    named: dict[str, Any]
    unmeasured: dict[str, Any]
    pulled_for_pairs: Callable[[], AbstractAsyncContextManager[None]]


async def _run(
    connection: Connection,
    rules: AggregateRules,
    window: Window,
    sampling: Sampling,
    table: tuple[Dimension, Dimension] | None,
) -> Computed:
    of_authors = OF_AUTHORS if table is None else of_table(*table)
    counted = await _count(connection, rules, window, sampling, of_authors)
    members = await connection.fetchrow(_QUERIES["members"])
    assert members is not None, "an aggregate has one row"
    await connection.execute(_FOR_AUTHORED)
    await connection.execute(
        load(__package__, "authored.sql", **of_authors),
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        **counted.unmeasured,
        **arrays(
            await connection.fetch(_QUERIES["left_out"]), "left_out_channels", "left_out_messages"
        ),
        **members,
    )
    await connection.execute(_FOR_THE_REST)
    texts = {**SQL, **OUTCOMES, **whole.RECEIPT, **of_authors, **counted.told}
    async with counted.pulled_for_pairs():
        rows = await connection.fetch(
            load(__package__, "reliability.sql", end="figures.sql", **texts),
            **counted.named,
            fewest_installations=rules.fewest_installations,
            smallest_group=rules.smallest_group,
            most_reasons=MOST_REASONS,
            most_values=MOST_VALUES,
            audit_channels=_like(AUDIT_CHANNELS + "*"),
        )
    await connection.execute(f"{_DROP}, authored")
    return computed(rows)


async def _count(
    connection: Connection,
    rules: AggregateRules,
    window: Window,
    sampling: Sampling,
    of_authors: Mapping[str, str],
) -> _Counted:
    """Runs the statements up to `member`: which messages exist, which receivers hold them, and
    what each receiver is expected to hold."""
    unmeasured = await _not_measured_here(connection, rules)
    span: dict[str, Any] = {"start_ms": window.start_ms, "end_ms": window.end_ms}
    quorum: dict[str, Any] = {"quorum": rules.quorum}
    fewest: dict[str, Any] = {"fewest_installations": rules.fewest_installations}
    membership: dict[str, Any] = {"membership": rules.membership.value}
    holes: dict[str, Any] = await holes_of(connection, window)
    memberships = await connection.fetchval(_QUERIES["memberships"], **span)
    pull = partial(pulled, connection, is_distributed=await is_distributed(connection))
    held_kb = min(max(_HELD_KB_A_MEMBERSHIP * memberships, _LEAST_HELD_KB), _MOST_HELD_KB)
    kind_of_window = load(__package__, "kind_of_window.sql", **await hands_of(connection, rules))
    await connection.execute(_FOR_MEASURED)
    await connection.execute(kind_of_window, **span, **unmeasured, **quorum)
    async with pull({"receipt": {"suspects": span}}):
        await connection.execute(_MEASURED)
    channels = [row["channel_id"] for row in await connection.fetch(_QUERIES["measured_channels"])]
    await connection.execute(_FOR_HELD.format(kb=held_kb))
    await connection.execute(_HELD, **span)
    told = await _put_rare_kinds_together(connection)
    said: dict[str, Any] = await stays_of(connection, window, channels)
    await connection.execute(_FOR_THE_REST)
    async with pull({"receipt": {"neighbors": span}}):
        await connection.execute(_CORROBORATED)
    coarse: dict[str, Any] = await coarse_of(connection, sampling, window)
    async with pull({"membership": {"memberships": span}}):
        await connection.execute(
            _COUNTED, **span, **membership, **fewest, **holes, **said, **coarse
        )
    await connection.execute(_CLAIMED, **quorum, **fewest, weight_cap=rules.weight_cap)
    await connection.execute(
        load(__package__, "member.sql", **of_authors),
        **span,
        **quorum,
        **holes,
        **said,
        most_classes=MOST_CLASSES,
    )
    spans = span | holes | said
    first_hole_after = min(holes["hole_after"], default=window.end_ms)
    last_hole_before = max(holes["hole_before"], default=window.start_ms)
    named = {
        **spans,
        **quorum,
        "first_hole_after": max(first_hole_after, window.start_ms - 1),
        "last_hole_before": min(last_hole_before, window.end_ms),
    }
    for_pairs = {
        "receipt": {
            "of_messages": span,
            "not_held": span,
            "outside_stay": spans,
            "in_hole": spans,
        },
        "failure": {"failures": span},
        "message": {"seen_messages": {}},
        "channel": {"channels": {}},
    }
    return _Counted(told, named, unmeasured, partial(pull, for_pairs))


async def not_measured(connection: Connection, rules: AggregateRules) -> dict[str, Any]:
    """What is not measured: kinds of messages, and patterns of channel ids."""
    none = Unmeasured()
    unmeasured = {source: rules.unmeasured.get(source, none) for source in Source}
    types = [(source.value, name) for source, rule in unmeasured.items() for name in rule.types]
    kinds = await connection.fetchrow(
        _QUERIES["kinds"],
        sources=[source for source, _ in types],
        message_types=[name for _, name in types],
        status_go=Source.STATUS_GO.value,
    )
    assert kinds is not None, "an aggregate has one row"
    patterns = [
        (_like(glob), source is Source.STATUS_GO)
        for source, rule in unmeasured.items()
        for glob in rule.channels
    ]
    return {
        **kinds,
        "unmeasured_patterns": [pattern for pattern, _ in patterns],
        "pattern_is_status_go": [is_status_go for _, is_status_go in patterns],
    }


async def _not_measured_here(connection: Connection, rules: AggregateRules) -> dict[str, Any]:
    """The same as parameters of is_measured.sql: the channels that match take the place of the
    patterns."""
    unmeasured = await not_measured(connection, rules)
    found = await connection.fetch(
        _QUERIES["unmeasured_channels"],
        patterns=unmeasured.pop("unmeasured_patterns"),
        pattern_is_status_go=unmeasured.pop("pattern_is_status_go"),
    )
    return unmeasured | arrays(found, "unmeasured_channels", "channel_is_status_go")


async def _put_rare_kinds_together(connection: Connection) -> Mapping[str, str]:
    """Puts the rare kinds of each channel together. Returns the texts of reliability.sql that name
    the kind that a receipt counts for."""
    await connection.execute(_RARE_KINDS["find"], most_kinds=MOST_KINDS)
    if not await connection.fetchval(_RARE_KINDS["any"]):
        return {"told_kind": "kind", "rare_kinds": ""}
    for name in ("put_measured_together", "put_held_together"):
        await connection.execute(_RARE_KINDS[name])
    return {
        "told_kind": "coalesce(together, kind)",
        "rare_kinds": "left join rare_kind using (channel_id, kind)",
    }


async def hands_of(connection: Connection, rules: AggregateRules) -> Mapping[str, str]:
    """The texts of measured_slice.sql that find messages whose vouchers may be in one hand.

    Usually each installation has one receiver and no network is known. Then nothing is looked up.
    """
    known = await connection.fetchrow(_QUERIES["hands"], fewest=rules.fewest_installations)
    assert known is not None
    same = []
    if known["has_shared_installations"]:
        same.append("first_one.installation_id = last_one.installation_id")
    if known["has_many_buckets"]:
        same.append("first_one.bucket_id = last_one.bucket_id")
    counts_installations = rules.quorum > 1 and known["has_shared_installations"]
    return {
        "receipts": _WITH_RECEIVERS if counts_installations else "receipt",
        "voters": (
            "count(distinct coalesce(installation_id, receiver_id))"
            if counts_installations
            else "count(*)"
        ),
        "with_vouchers": _WITH_VOUCHERS if same else "",
        "is_suspect": f"({' or '.join(same)}) is true" if same else "false",
    }


async def holes_of(connection: Connection, window: Window) -> dict[str, list[int]]:
    """The holes that touch the window, as parameters of spans.sql."""
    rows = await connection.fetch(_QUERIES["holes"], start_ms=window.start_ms, end_ms=window.end_ms)
    return {
        "hole_receivers": [row["receiver_id"] for row in rows],
        "hole_after": [row["after"] for row in rows],
        "hole_before": [row["before"] for row in rows],
    }


async def stays_of(
    connection: Connection, window: Window, channels: Sequence[int]
) -> dict[str, list[int]]:
    """The stays in these channels that touch the window, as parameters of spans.sql. Only receivers
    that ever reported joining or leaving have stays."""
    found = []
    reported = connection.slices(
        _QUERIES["membership_reports"],
        _CURSOR_MEMBERSHIPS,
        end_ms=window.end_ms,
        channel_ids=channels,
    )
    async for rows in reported:
        for row in rows:
            for begin, end in stays_of_membership(row):
                if begin < window.end_ms and end >= window.start_ms:
                    found.append((row["channel_id"], row["receiver_id"], begin, end))
    return arrays(found, "stay_channels", "stay_receivers", "stay_begins", "stay_ends")


def _like(glob: str) -> str:
    """A pattern of `Unmeasured.channels` as a pattern for SQL's LIKE."""
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
