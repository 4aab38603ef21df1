-- The stays and the holes of receivers, as spans of sentAt in the window. A part of other statements.
--
-- in   start_ms, end_ms         of the window, Unix ms, half-open, whole minutes
--      stay_channels, stay_receivers, stay_begins, stay_ends
--                               bigint[]: stays that touch the window, both ends included. Only receivers that ever
--                               reported joining or leaving have some. The stays of one receiver do not overlap
--      hole_receivers           bigint[]: receivers that lost reports
--      hole_after, hole_before  bigint[]: the bounds of sentAt of each hole: open intervals that touch the window, any
--                               number for each receiver

-- is_whole: the receiver was there from before the window until after it, without a break.
stay_of_receiver as materialized (
    select
        channel_id,
        receiver_id,
        range_agg(int8range(greatest(begins, $start_ms::bigint), least(ends + 1, $end_ms::bigint))) as stays,
        bool_or(begins < $start_ms::bigint and ends >= $end_ms::bigint) as is_whole
    from unnest($stay_channels::bigint[], $stay_receivers::bigint[], $stay_begins::bigint[], $stay_ends::bigint[])
        as s (channel_id, receiver_id, begins, ends)
    group by channel_id, receiver_id
),

-- The stays of receivers that came or went within the window. What they hold and sent before and after is outside their
-- stays.
part_stay as not materialized (
    select channel_id, receiver_id, stays
    from stay_of_receiver
    where not stays @> int8range($start_ms::bigint, $end_ms::bigint)
),

-- The holes of each receiver that has any: the spans of sentAt in which its reports are missing.
hole_of_receiver as not materialized (
    select
        receiver_id,
        range_agg(int8range(after, before, '()') * int8range($start_ms::bigint, $end_ms::bigint)) as holes
    from unnest($hole_receivers::bigint[], $hole_after::bigint[], $hole_before::bigint[]) as h (receiver_id, after, before)
    group by receiver_id
),
