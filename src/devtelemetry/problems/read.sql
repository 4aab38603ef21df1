-- Stored figures of one timeframe and policy as lines of counts. results/columns.py has the list of columns.

-- name: end
-- The end of the latest window that ended by `until`; NULL: of the latest window.
select max(window_end)
from reliability_window
where timeframe = $timeframe::text and membership = $membership::text
  and ($until::timestamptz is null or window_end <= $until::timestamptz)

-- name: windows
-- The windows that start in [start, end).
select
    window_start, {counts}, over_channels::float8[] as over_channels, over_receivers::float8[] as over_receivers,
    over_memberships::float8[] as over_memberships
from reliability_window
where timeframe = $timeframe::text and membership = $membership::text
  and window_start >= $start::timestamptz and window_start < $end::timestamptz

-- name: groups
-- The groups of these windows, without the small ones that were put together. For each dimension, the `most` values
-- with the most pairs since `recent`.
with shown as (
    select dimension, value
    from (
        select
            dimension, value,
            row_number() over (partition by dimension order by sum(corroborated) desc, value collate "C") as place
        from reliability_group
        where timeframe = $timeframe::text and membership = $membership::text and channel_id = 0 and not is_rest
          and window_start >= $recent::timestamptz and window_start < $end::timestamptz
        group by dimension, value
    ) ranked
    where place <= $most::integer
)
select
    window_start, dimension, value, {counts}, over_channels::float8[] as over_channels,
    over_receivers::float8[] as over_receivers, over_memberships::float8[] as over_memberships
from reliability_group
join shown using (dimension, value)
where timeframe = $timeframe::text and membership = $membership::text and channel_id = 0 and not is_rest
  and window_start >= $start::timestamptz and window_start < $end::timestamptz

-- name: rising_channels
-- The channels that may have a problem, and how many were compared. They are those with the largest rise since a split,
-- compared with the time before it. There are several splits, because one length of span would miss short or slow
-- rises.
-- in   start, end; splits: moments between them; audits: how the ids of audits' channels begin; most: channels per
--      split
with summed as (
    select
        s.split, c.channel_id,
        sum(c.missing) filter (where c.window_start >= s.split) as missing,
        sum(c.corroborated) filter (where c.window_start >= s.split) as corroborated,
        sum(c.missing) filter (where c.window_start < s.split) as missing_before,
        sum(c.corroborated) filter (where c.window_start < s.split) as corroborated_before
    from reliability_channel c
    cross join unnest($splits::timestamptz[]) as s (split)
    where c.timeframe = $timeframe::text and c.membership = $membership::text
      and c.window_start >= $start::timestamptz and c.window_start < $end::timestamptz
      and c.receivers >= 2 and c.expected > 0
    group by s.split, c.channel_id
),
expected as (
    select
        s.*, n.external_id, (missing_before + 0.5::float8) * corroborated / corroborated_before as expected,
        count(*) over (partition by s.split) as channels
    from summed s
    join channel n on n.channel_id = s.channel_id
    where corroborated > 0 and corroborated_before > 0 and not starts_with(n.external_id, $audits::text)
),
ranked as (
    select *, row_number() over (partition by split order by (missing - expected) ^ 2 / expected desc, external_id) as place
    from expected
    where missing > expected
)
select channel_id, max(external_id) as external_id, max(channels) as channels
from ranked
where place <= $most::integer
group by channel_id

-- name: channels
-- These channels in the windows that start in [start, end) and in which they are comparable.
select
    window_start, channel_id, {counts}, null::float8[] as over_channels, over_memberships::float8[] as over_receivers,
    over_memberships::float8[] as over_memberships
from reliability_channel
where timeframe = $timeframe::text and membership = $membership::text and channel_id = any ($channel_ids::bigint[])
  and window_start >= $start::timestamptz and window_start < $end::timestamptz and receivers >= 2 and expected > 0
