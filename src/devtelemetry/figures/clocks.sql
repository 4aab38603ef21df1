-- How far the clocks of receivers are off: clocks.py.

-- name: clocks
-- How many receivers reported lately, and how many of these told their clock. Of the latter: how many clocks are off by
-- more than each limit, how many are ahead and behind by more than the first limit, and the median and the greatest
-- distance in ms (NULL if no receiver told its clock).
-- in   since: Unix ms; limits: four, in ms
select
    count(*) as receivers,
    count(clock_offset) as told,
    array[
        count(*) filter (where abs(clock_offset) > ($limits::bigint[])[1]),
        count(*) filter (where abs(clock_offset) > ($limits::bigint[])[2]),
        count(*) filter (where abs(clock_offset) > ($limits::bigint[])[3]),
        count(*) filter (where abs(clock_offset) > ($limits::bigint[])[4])
    ] as off_by_more,
    count(*) filter (where clock_offset < -($limits::bigint[])[1]) as ahead,
    count(*) filter (where clock_offset > ($limits::bigint[])[1]) as behind,
    percentile_disc(0.5) within group (order by abs(clock_offset)) as median_ms,
    max(abs(clock_offset)) as greatest_ms
from (
    select case when clock_said_at >= $since::bigint then clock_offset end as clock_offset
    from receiver
    where last_receipt_minute >= $since::bigint or last_heartbeat_minute >= $since::bigint
) reported
