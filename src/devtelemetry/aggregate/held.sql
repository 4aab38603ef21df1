-- What became of messages at each receiver in a window, kind by kind and state by state, and what it sent: the second of
-- three passes over its receipts. Source: docs/algorithm.md, "One window, one channel".
--
-- in   start_ms, end_ms   of the window, Unix ms, half-open, whole minutes
--
-- A statement of its own, so that memory can be granted for it alone: the planner guesses a group for every ten rows, and
-- a table of hashes made for so many lies outside of the processor's caches.
create temp table held on commit drop as
select
    channel_id,
    receiver_id,
    kind,
    state,
    count(*) as receipts,
    count(*) filter (where sent_by_receiver) as sent,
    min(sent_at) as first_sent_at,
    max(sent_at) as last_sent_at
from receipt
where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint
group by channel_id, receiver_id, kind, state
