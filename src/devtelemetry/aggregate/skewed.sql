-- Delays of messages whose author's clock is off, put right: how many receipts less have a delay, and how many more.
-- Source: docs/algorithm.md, "Delays".
--
-- in   start_ms, end_ms, hole_receivers, hole_after, hole_before: as in spans.sql
--
-- A statement of its own, since workers do the reading (PostgreSQL 15 and 16 do not let them), and none of them may read
-- the temporary tables of the others.
create temp table skewed on commit drop as
with
-- include: spans.sql

skewed_message as not materialized (
-- include: skewed_message.sql
),

moved as (
    -- include: skewed_slice.sql slice=0 of=2
    union all
    -- include: skewed_slice.sql slice=1 of=2
)

select channel_id, receiver_id, kind, changed.delay, sum(changed.n)::bigint as n
from moved
cross join lateral (values (delay, -n), (corrected_delay, n)) as changed (delay, n)
group by channel_id, receiver_id, kind, changed.delay
