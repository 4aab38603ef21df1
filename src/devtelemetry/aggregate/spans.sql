-- Which of its receipts do not count for a receiver, by sentAt. A part of statements.
--
-- in   start_ms, end_ms         of the window, Unix ms, half-open, whole minutes
--      hole_receivers           bigint[]: receivers that lost reports
--      hole_after, hole_before  bigint[]: after and before which sentAt: open intervals that touch the window, any number
--                               for each receiver

-- Who says that it joined or left within the window: what it holds and sent before or after is outside of its stay.
said_stay as not materialized (
    select channel_id, receiver_id, joined_at, left_at
    from membership
    where (joined_at > $start_ms::bigint and joined_at < $end_ms::bigint)
       or (left_at >= $start_ms::bigint and left_at < $end_ms::bigint - 1)
),

-- H of the receivers that have one: the spans of sentAt in which reports of theirs are missing.
hole_of_receiver as not materialized (
    select
        receiver_id,
        range_agg(int8range(after, before, '()') * int8range($start_ms::bigint, $end_ms::bigint)) as holes
    from unnest($hole_receivers::bigint[], $hole_after::bigint[], $hole_before::bigint[]) as h (receiver_id, after, before)
    group by receiver_id
),
