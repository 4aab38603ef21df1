-- name: known_versions
-- The versions that receivers have now or had before, and how many receivers have each now. At most a hundred: first
-- the given ones, if known, then the most frequent.
-- in   versions
select app_version, receivers
from (
    select app_version, count(*) filter (where is_now) as receivers
    from (
        select app_version, true as is_now from receiver
        union all
        select app_version_before, false from receiver
    ) said
    where app_version <> ''
    group by app_version
) counted
order by app_version = any ($versions::text[]) desc, receivers desc, app_version
limit 100

-- name: windows
-- The totals of the latest windows of a timeframe and policy, the oldest first.
-- in   timeframe, membership; most: how many
select window_start, window_end, receivers, corroborated
from (
    select window_start, window_end, coalesce(over_receivers[1], 0)::bigint as receivers, corroborated
    from reliability_window
    where timeframe = $timeframe::text and membership = $membership::text
    order by window_start desc
    limit $most::integer
) latest
order by window_start

-- name: starts
-- The starts of all windows of a timeframe and policy, the oldest first.
select window_start
from reliability_window
where timeframe = $timeframe::text and membership = $membership::text
order by window_start

-- name: versions_by_window
-- The groups by version of these windows. The groups of a window are next to each other in the key.
-- in   timeframe, membership, window_starts
select g.window_start, g.value, g.over_receivers[1]::bigint as receivers, g.corroborated
from unnest($window_starts::timestamptz[]) as w (window_start)
join reliability_group g on g.timeframe = $timeframe::text and g.window_start = w.window_start
    and g.membership = $membership::text and g.channel_id = 0 and g.dimension = 'app_version' and not g.is_rest

-- name: first_windows
-- For each version, the first of these windows that shows it.
-- in   timeframe, membership, window_starts
select g.value, min(g.window_start) as window_start
from unnest($window_starts::timestamptz[]) as w (window_start)
join reliability_group g on g.timeframe = $timeframe::text and g.window_start = w.window_start
    and g.membership = $membership::text and g.channel_id = 0 and g.dimension = 'app_version' and not g.is_rest
group by g.value

-- name: platforms
-- How many receivers have each version on each platform now. Groups that are too small are left out.
-- in   smallest_group
--      since: only receivers that reported then or later, Unix ms
select app_version, platform, count(*) as receivers
from receiver
where app_version <> '' and greatest(last_receipt_minute, last_heartbeat_minute) >= $since::bigint
group by app_version, platform
having count(*) >= $smallest_group::integer
order by app_version, receivers desc, platform
