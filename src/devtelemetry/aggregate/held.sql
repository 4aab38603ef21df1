-- What became of messages at each receiver in a window, and what it sent, by kind and state. The second of three passes
-- over the window's receipts. Source: docs/algorithm.md, "One window, one channel".
--
-- in   start_ms, end_ms   of the window, Unix ms, half-open, whole minutes
--
-- A statement of its own, so that its memory can be set. The planner guesses one group for every ten rows. A hash table
-- made for so many groups does not fit the processor's caches.
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
