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

-- name: versions_by_window
-- Of the windows that start then or later their groups by version. A window at a time, by the key: channels have groups
-- too.
select w.window_start, g.value, g.receivers, g.corroborated
from reliability_window w
cross join lateral (
    select value, over_receivers[1]::bigint as receivers, corroborated
    from reliability_group g
    where g.timeframe = w.timeframe and g.window_start = w.window_start and g.membership = w.membership
      and g.channel_id = 0 and g.dimension = 'app_version' and not g.is_rest
) g
where w.timeframe = $timeframe::text and w.membership = $membership::text and w.window_start >= $start::timestamptz

-- name: first_windows
-- The first window in which each version is shown, of all that are stored, and the first of all.
select distinct on (g.value) g.value, w.window_start, min(w.window_start) over () as first_of_all
from reliability_window w
cross join lateral (
    select value
    from reliability_group g
    where g.timeframe = w.timeframe and g.window_start = w.window_start and g.membership = w.membership
      and g.channel_id = 0 and g.dimension = 'app_version' and not g.is_rest
) g
where w.timeframe = $timeframe::text and w.membership = $membership::text
order by g.value, w.window_start

-- name: platforms
-- On which platforms receivers have which version now; groups that are too small are not told.
-- in   smallest_group; since: of receivers that reported then or later, Unix ms
select app_version, platform, count(*) as receivers
from receiver
where app_version <> '' and greatest(last_receipt_minute, last_heartbeat_minute) >= $since::bigint
group by app_version, platform
having count(*) >= $smallest_group::integer
order by app_version, receivers desc, platform
