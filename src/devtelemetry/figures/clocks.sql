-- How far the clocks of receivers are off: clocks.py.

-- name: clocks
-- Of those that reported since $1 (Unix ms): how many, how many told their clock, and of these how many are off by more
-- than each of $2 (four, in ms), ahead and behind by more than the first of them, median and greatest of how far they
-- are off, in ms (NULL: none told).
select
    count(*) as receivers,
    count(clock_offset) as told,
    array[
        count(*) filter (where abs(clock_offset) > ($2::bigint[])[1]),
        count(*) filter (where abs(clock_offset) > ($2::bigint[])[2]),
        count(*) filter (where abs(clock_offset) > ($2::bigint[])[3]),
        count(*) filter (where abs(clock_offset) > ($2::bigint[])[4])
    ] as off_by_more,
    count(*) filter (where clock_offset < -($2::bigint[])[1]) as ahead,
    count(*) filter (where clock_offset > ($2::bigint[])[1]) as behind,
    percentile_disc(0.5) within group (order by abs(clock_offset)) as median_ms,
    max(abs(clock_offset)) as greatest_ms
from (
    select case when clock_said_at >= $1::bigint then clock_offset end as clock_offset
    from receiver
    where last_receipt_minute >= $1::bigint or last_heartbeat_minute >= $1::bigint
) reported
