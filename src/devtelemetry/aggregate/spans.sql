-- Which of its receipts do not count for a receiver, by sentAt. A part of statements.
--
-- in   $1 window_start, $2 window_end   Unix ms, half-open, whole minutes
--      holes                            bigint[]: receivers that lost reports, and after and before which sentAt: open
--                                       intervals that touch the window, any number for each

-- Who says that it joined or left within the window: what it holds and sent before or after is not in its part.
part_said as not materialized (
    select channel_id, receiver_id, joined_at, left_at
    from membership
    where (joined_at > $1::bigint and joined_at < $2::bigint) or (left_at >= $1::bigint and left_at < $2::bigint - 1)
),

-- H of the receivers that have one: the spans of sentAt in which reports of theirs are missing.
hole_of_receiver as not materialized (
    select receiver_id, range_agg(int8range(after, before, '()') * int8range($1::bigint, $2::bigint)) as holes
    from unnest(${receivers}::bigint[], ${after}::bigint[], ${before}::bigint[]) as h (receiver_id, after, before)
    group by receiver_id
),
