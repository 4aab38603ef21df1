-- name: spent
-- The sums over the latest windows. Each span reaches back from the end of the latest window and has the windows that
-- end in it.
-- in   timeframe, membership; spans: the shortest first
with latest as (
    select max(window_end) as until
    from reliability_window
    where timeframe = $timeframe::text and membership = $membership::text
)
select
    span,
    coalesce(sum(corroborated), 0)::bigint as deliveries,
    coalesce(sum(missing), 0)::bigint as missing,
    until
from latest
cross join unnest($spans::interval[]) as s (span)
left join reliability_window w on w.timeframe = $timeframe::text and w.membership = $membership::text
    and w.window_start > until - span - interval '7 days' and w.window_end > until - span and w.window_end <= until
where until is not null
group by span, until
order by span

-- name: settled
-- The deliveries that were counted when windows were settled.
select deliveries, good
from settled_deliveries
where timeframe = $timeframe::text and membership = $membership::text
