-- name: known_versions
-- What receivers say that they have, or had before; how many have it now. The most frequent first; at most a hundred, and
-- these two in any case.
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
-- The latest windows of a timeframe and policy, the oldest first: the totals of each.
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
-- Of all windows of a timeframe and policy, the oldest first.
select window_start
from reliability_window
where timeframe = $timeframe::text and membership = $membership::text
order by window_start

-- name: versions_by_window
-- Of these windows their groups by version; those of a window stand in one place of the key.
-- in   timeframe, membership, window_starts
select g.window_start, g.value, g.over_receivers[1]::bigint as receivers, g.corroborated
from unnest($window_starts::timestamptz[]) as w (window_start)
join reliability_group g on g.timeframe = $timeframe::text and g.window_start = w.window_start
    and g.membership = $membership::text and g.channel_id = 0 and g.dimension = 'app_version' and not g.is_rest

-- name: first_windows
-- The first of these windows in which each version is shown.
-- in   timeframe, membership, window_starts
select g.value, min(g.window_start) as window_start
from unnest($window_starts::timestamptz[]) as w (window_start)
join reliability_group g on g.timeframe = $timeframe::text and g.window_start = w.window_start
    and g.membership = $membership::text and g.channel_id = 0 and g.dimension = 'app_version' and not g.is_rest
group by g.value

-- name: platforms
-- On which platforms receivers have which version now; groups that are too small are not told.
-- in   smallest_group; since: of receivers that reported then or later, Unix ms
select app_version, platform, count(*) as receivers
from receiver
where app_version <> '' and greatest(last_receipt_minute, last_heartbeat_minute) >= $since::bigint
group by app_version, platform
having count(*) >= $smallest_group::integer
order by app_version, receivers desc, platform
