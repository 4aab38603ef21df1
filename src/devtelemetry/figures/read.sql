-- Stored figures, as they were computed last. The lists of columns come from results/columns.py.

-- name: windows
-- The windows of a timeframe that overlap [start, end), oldest first, in slices. A slice begins after the last window
-- of the previous slice, by (window_start, membership).
-- in   timeframe; start, end, membership: NULL for any; after_start, after_membership; slice: how many
select window_start, window_end, membership, state, revision, computed_at, {window_columns}
from reliability_window
where timeframe = $timeframe::text
  and ($start::timestamptz is null or window_end > $start::timestamptz)
  and ($end::timestamptz is null or window_start < $end::timestamptz)
  and ($membership::text is null or membership = $membership::text)
  and (window_start, membership) > ($after_start::timestamptz, $after_membership::text)
order by window_start, membership
limit $slice::integer

-- name: channels
-- The channels of these windows, or only channel_id if it is not NULL (no row if it has no figures). Names are joined
-- to the selected rows, not the other way round, because a channel has thousands of windows.
-- in   timeframe; window_starts, memberships: of each window; channel_id
select r.window_start, r.membership, c.external_id, {channel_columns}
from (
    select f.*
    from unnest($window_starts::timestamptz[], $memberships::text[]) as w (window_start, membership)
    join reliability_channel f on f.timeframe = $timeframe::text and f.window_start = w.window_start
        and f.membership = w.membership
    where $channel_id::bigint is null or f.channel_id = $channel_id::bigint
) r
join channel c on c.channel_id = r.channel_id

-- name: groups
-- The groups of these windows, by these dimensions.
-- in   timeframe; window_starts, memberships: of each window; channel_id, or 0 for groups of whole windows; dimensions
select g.window_start, g.membership, g.channel_id, g.dimension, g.is_rest, g.value, {group_columns}
from unnest($window_starts::timestamptz[], $memberships::text[]) as w (window_start, membership)
join reliability_group g on g.timeframe = $timeframe::text and g.window_start = w.window_start
    and g.membership = w.membership and g.channel_id = $channel_id::bigint and g.dimension = any ($dimensions::text[])
order by g.window_start, g.membership, g.dimension, g.is_rest, g.value

-- name: start_of_latest
-- Where the latest windows of a selection start, and how many windows it has in all. The same window under several
-- policies counts once.
-- in   timeframe, start, end, membership: as for `windows`; latest: how many
select
    count(*) as windows,
    min(window_start) filter (where number <= $latest::integer) as start
from (
    select window_start, row_number() over (order by window_start desc) as number
    from reliability_window
    where timeframe = $timeframe::text
      and ($start::timestamptz is null or window_end > $start::timestamptz)
      and ($end::timestamptz is null or window_start < $end::timestamptz)
      and ($membership::text is null or membership = $membership::text)
    group by window_start
) w

-- name: end_of_first
-- Where the first windows of a selection end, and how many windows it has in all.
-- in   timeframe, start, end, membership: as for `windows`; first: how many
select
    count(*) as windows,
    max(window_end) filter (where number <= $first::integer) as end
from (
    select window_end, row_number() over (order by window_start) as number
    from reliability_window
    where timeframe = $timeframe::text
      and ($start::timestamptz is null or window_end > $start::timestamptz)
      and ($end::timestamptz is null or window_start < $end::timestamptz)
      and ($membership::text is null or membership = $membership::text)
    group by window_start, window_end
) w

-- name: timeframes
-- The timeframes that have windows.
select distinct timeframe from reliability_window

-- name: latest_windows
-- The latest window of each timeframe and state, of one membership policy.
select distinct on (timeframe, state)
    timeframe, window_start, window_end, membership, state, revision, computed_at, {window_columns}
from reliability_window
where membership = $membership::text
order by timeframe, state, window_start desc

-- name: has_channel
select exists (select 1 from channel where channel_id = $channel_id::bigint)

-- name: group_values
-- The groups by one dimension in windows of a timeframe that overlap [start, end), without other.
-- in   as for `windows`; channel_id, or 0 for groups of the whole window; dimension
select distinct g.value
from reliability_window w
join reliability_group g using (timeframe, window_start, membership)
where w.timeframe = $timeframe::text
  and ($start::timestamptz is null or w.window_end > $start::timestamptz)
  and ($end::timestamptz is null or w.window_start < $end::timestamptz)
  and ($membership::text is null or w.membership = $membership::text)
  and g.channel_id = $channel_id::bigint and g.dimension = $dimension::text and not g.is_rest
order by g.value

-- name: has_samples
-- Tells someone who asks for figures in vain whether there are samples at all.
select exists (select 1 from message)

-- name: newest_computation
-- When the last window was computed. While this time is the same, nothing that is shown has changed.
select max(computed_at) from reliability_window

-- name: latest_end
-- Where the latest window of a timeframe and policy ends.
select window_end
from reliability_window
where timeframe = $timeframe::text and membership = $membership::text
order by window_start desc
limit 1

-- name: channels_of_latest
-- How many channels the latest window of a timeframe has, summed over the policies.
select count(*)
from reliability_channel
where timeframe = $timeframe::text
  and window_start = (select max(window_start) from reliability_window where timeframe = $timeframe::text)

-- name: channel_sums
-- The channels that are comparable in windows that start in [start, end), with the sums over these windows: the `most`
-- channels that lost most, or with NULL all, also those that lost nothing.
-- in   timeframe, start, end, membership; audits: the prefix of their ids; most
-- Spreads are most of the work, so they are summed only for the selected channels.
with summed as (
    select channel_id, {summed_counts}
    from reliability_channel
    where timeframe = $timeframe::text and window_start >= $start::timestamptz and window_start < $end::timestamptz
      and membership = $membership::text and receivers >= 2 and expected > 0
    group by channel_id
    having $most::integer is null or sum(missing) > 0
),
selected as (
    select s.*, c.external_id
    from summed s
    join channel c on c.channel_id = s.channel_id
    where not starts_with(c.external_id, $audits::text)
    order by s.missing desc, c.external_id
    limit $most::integer
)
select *
from selected
join (
    select channel_id, count(*) filter (where corroborated > 0) as windows, {summed_spreads_of_channel}
    from reliability_channel
    where timeframe = $timeframe::text and window_start >= $start::timestamptz and window_start < $end::timestamptz
      and membership = $membership::text and receivers >= 2 and expected > 0
      and ($most::integer is null or channel_id = any (array(select channel_id from selected)))
    group by channel_id
) p using (channel_id)

-- name: channel_cells
-- What these channels lost in each of the windows that start in [start, end).
-- in   timeframe, start, end, membership; channel_ids
select c.external_id, r.window_start, r.missing, r.corroborated
from channel c
join reliability_channel r on r.channel_id = c.channel_id
where c.channel_id = any ($channel_ids::bigint[]) and r.timeframe = $timeframe::text
  and r.window_start >= $start::timestamptz and r.window_start < $end::timestamptz
  and r.membership = $membership::text and r.receivers >= 2 and r.expected > 0

-- name: moved_channels
-- The channels whose losses rose most, and those whose losses fell most, compared with what their loss rate before the
-- split predicts. Each comes with its sums over the windows that start in [start, split) and in [split, end).
-- in   timeframe, start, split, end, membership; audits: the prefix of their ids; most: how many of each
with summed as (
    select
        channel_id,
        sum(missing) filter (where window_start < $split::timestamptz) as missing_before,
        sum(corroborated) filter (where window_start < $split::timestamptz) as corroborated_before,
        sum(missing) filter (where window_start >= $split::timestamptz) as missing_after,
        sum(corroborated) filter (where window_start >= $split::timestamptz) as corroborated_after
    from reliability_channel
    where timeframe = $timeframe::text and window_start >= $start::timestamptz and window_start < $end::timestamptz
      and membership = $membership::text and receivers >= 2 and expected > 0
    group by channel_id
),
moved as (
    select
        s.channel_id, c.external_id,
        s.missing_after - s.missing_before::float8 * s.corroborated_after / s.corroborated_before as more
    from summed s
    join channel c on c.channel_id = s.channel_id
    where s.corroborated_before > 0 and s.corroborated_after > 0 and not starts_with(c.external_id, $audits::text)
),
shown as (
    (select * from moved where more > 0 order by more desc, external_id limit $most::integer)
    union all
    (select * from moved where more < 0 order by more, external_id limit $most::integer)
)
select
    s.external_id, f.window_start >= $split::timestamptz as is_after,
    count(*) filter (where f.corroborated > 0) as windows, {summed_counts}, {summed_spreads_of_channel}
from shown s
join reliability_channel f on f.channel_id = s.channel_id and f.timeframe = $timeframe::text
    and f.window_start >= $start::timestamptz and f.window_start < $end::timestamptz
    and f.membership = $membership::text and f.receivers >= 2 and f.expected > 0
group by s.channel_id, s.external_id, s.more, is_after
order by abs(s.more) desc, s.external_id, is_after

-- name: lossy_channels
-- The channels with the most missing pairs, summed over the windows that start in [start, end) and in which the channel
-- is comparable. Channels that lost nothing are left out.
-- in   as for `channel_sums`
with summed as (
    select channel_id, sum(missing)::bigint as missing
    from reliability_channel
    where timeframe = $timeframe::text and window_start >= $start::timestamptz and window_start < $end::timestamptz
      and membership = $membership::text and receivers >= 2 and expected > 0
    group by channel_id
    having sum(missing) > 0
)
select s.channel_id, c.external_id
from summed s
join channel c on c.channel_id = s.channel_id
where not starts_with(c.external_id, $audits::text)
order by s.missing desc, c.external_id
limit $most::integer

-- name: sums_of_channels
-- The sums of these channels over the windows with these starts in which the channel is comparable.
-- in   timeframe, membership; window_starts; channel_ids
select f.channel_id, count(*) filter (where corroborated > 0) as windows, {summed_counts}, {summed_spreads_of_channel}
from unnest($window_starts::timestamptz[]) as w (window_start)
join reliability_channel f on f.timeframe = $timeframe::text and f.window_start = w.window_start
    and f.membership = $membership::text and f.channel_id = any ($channel_ids::bigint[])
where receivers >= 2 and expected > 0
group by f.channel_id

-- name: groups_of_channels
-- The same for one group within each channel. Channels that do not show the group have no row.
-- in   as for `sums_of_channels`; dimension, value
select f.channel_id, count(*) filter (where corroborated > 0) as windows, {summed_counts}, {summed_spreads_of_channel}
from unnest($window_starts::timestamptz[]) as w (window_start)
join reliability_group f on f.timeframe = $timeframe::text and f.window_start = w.window_start
    and f.membership = $membership::text and f.channel_id = any ($channel_ids::bigint[])
    and f.dimension = $dimension::text and not f.is_rest and f.value = $value::text
group by f.channel_id
