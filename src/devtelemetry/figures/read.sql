-- Stored figures, as they were computed last.

-- name: windows
-- The windows of a timeframe that overlap [from, to), oldest first, in slices: those after (window_start, membership).
-- in   $1 timeframe; $2 from, $3 to, $4 membership: NULL for any; $5, $6 the last one of the slice before; $7 how many
select
    window_start, window_end, membership, state, reliability, messages, receivers, expected, missing, corroborated,
    unknown, revision, computed_at, over_channels, over_receivers, over_parts, delivery_delays, report_delays, median,
    trimmed, influence, unseen, sample_coverage
from reliability_window
where timeframe = $1::text
  and ($2::timestamptz is null or window_end > $2::timestamptz)
  and ($3::timestamptz is null or window_start < $3::timestamptz)
  and ($4::text is null or membership = $4::text)
  and (window_start, membership) > ($5::timestamptz, $6::text)
order by window_start, membership
limit $7::integer

-- name: channels
-- The channels of these windows; of one channel alone if $4 is not NULL (no row then says that it has no figures).
-- The names are joined to what was selected, not the other way round: a channel has thousands of windows.
select
    r.window_start, r.membership, c.external_id, r.messages, r.receivers, r.expected, r.missing, r.corroborated,
    r.unknown, r.over_parts, r.delivery_delays, r.report_delays, r.captures, r.median, r.trimmed, r.influence
from (
    select f.*
    from unnest($2::timestamptz[], $3::text[]) as w (window_start, membership)
    join reliability_channel f on f.timeframe = $1::text and f.window_start = w.window_start
        and f.membership = w.membership
    where $4::bigint is null or f.channel_id = $4::bigint
) r
join channel c on c.channel_id = r.channel_id

-- name: groups
-- What these windows are broken down to; $4 is the id of a channel, or 0 for the windows', $5 are the dimensions.
select
    g.window_start, g.membership, g.channel_id, g.dimension, g.is_rest, g.value, g.messages, g.receivers, g.expected,
    g.missing, g.corroborated, g.unknown, g.over_channels, g.over_receivers, g.over_parts, g.delivery_delays,
    g.report_delays
from unnest($2::timestamptz[], $3::text[]) as w (window_start, membership)
join reliability_group g on g.timeframe = $1::text and g.window_start = w.window_start
    and g.membership = w.membership and g.channel_id = $4::bigint and g.dimension = any ($5::text[])
order by g.window_start, g.membership, g.dimension, g.is_rest, g.value

-- name: start_of_latest
-- Where the latest $5 windows of a selection ($1 to $4 as above) start, and how many there are in all. Policies share
-- their windows.
select
    count(*) as windows,
    min(window_start) filter (where number <= $5::integer) as start
from (
    select window_start, row_number() over (order by window_start desc) as number
    from reliability_window
    where timeframe = $1::text
      and ($2::timestamptz is null or window_end > $2::timestamptz)
      and ($3::timestamptz is null or window_start < $3::timestamptz)
      and ($4::text is null or membership = $4::text)
    group by window_start
) w

-- name: timeframes
-- Those that have windows.
select distinct timeframe from reliability_window

-- name: latest_windows
-- The latest window of each timeframe and state, of one membership policy.
select distinct on (timeframe, state)
    timeframe, window_start, window_end, membership, state, reliability, messages, receivers, expected, missing,
    corroborated, unknown, revision, computed_at, over_channels, over_receivers, over_parts, delivery_delays,
    report_delays, median, trimmed, influence, unseen, sample_coverage
from reliability_window
where membership = $1::text
order by timeframe, state, window_start desc

-- name: has_samples
-- For who asks for figures where there are none.
select exists (select from message)


-- name: newest_computation
-- When a window was computed last: as long as it is the same, nothing that is shown has changed.
select max(computed_at) from reliability_window

-- name: latest_end
-- Where the latest window of a timeframe ($1) and policy ($2) ends.
select window_end
from reliability_window
where timeframe = $1::text and membership = $2::text
order by window_start desc
limit 1

-- name: worst_channels
-- The channels with the least delivery ratio, of the sums over the windows that start in [from, to) and in which they
-- are comparable; those that lost nothing are left out.
-- in   $1 timeframe; $2 from, $3 to; $4 membership; $5 how the ids of audits begin; $6 how many
-- Spreads are summed of those few alone: they are most of the work.
with summed as (
    select
        channel_id, sum(messages)::bigint as messages, max(receivers) as receivers, sum(expected)::bigint as expected,
        sum(missing)::bigint as missing, sum(corroborated)::bigint as corroborated, sum(unknown)::bigint as unknown
    from reliability_channel
    where timeframe = $1::text and window_start >= $2::timestamptz and window_start < $3::timestamptz
      and membership = $4::text and receivers >= 2 and expected > 0
    group by channel_id
    having sum(missing) > 0
),
worst as (
    select s.*, c.external_id
    from summed s
    join channel c on c.channel_id = s.channel_id
    where not starts_with(c.external_id, $5::text)
    order by 1 - s.missing::float8 / nullif(s.corroborated, 0), s.missing desc, c.external_id
    limit $6::integer
)
select w.*, p.windows, p.over_parts
from worst w
cross join lateral (
    select
        count(*) filter (where f.corroborated > 0) as windows,
        case when bool_and(f.over_parts is not null or f.corroborated = 0) then
            array[sum(f.over_parts[1]), sum(f.over_parts[2]), sum(f.over_parts[3]), sum(f.over_parts[4])]
        end as over_parts
    from reliability_channel f
    where f.channel_id = w.channel_id and f.timeframe = $1::text and f.window_start >= $2::timestamptz
      and f.window_start < $3::timestamptz and f.membership = $4::text and f.receivers >= 2 and f.expected > 0
) p
order by 1 - w.missing::float8 / nullif(w.corroborated, 0), w.missing desc, w.external_id

-- name: moved_channels
-- The channels that lost most beside what they would have lost as before, and those that lost least: each with its sums
-- before $3 and from there on.
-- in   $1 timeframe; $2 from, $3 where the time after begins, $4 to; $5 membership; $6 how the ids of audits begin;
--      $7 how many of each
with summed as (
    select
        channel_id,
        sum(missing) filter (where window_start < $3::timestamptz) as missing_before,
        sum(corroborated) filter (where window_start < $3::timestamptz) as corroborated_before,
        sum(missing) filter (where window_start >= $3::timestamptz) as missing_after,
        sum(corroborated) filter (where window_start >= $3::timestamptz) as corroborated_after
    from reliability_channel
    where timeframe = $1::text and window_start >= $2::timestamptz and window_start < $4::timestamptz
      and membership = $5::text and receivers >= 2 and expected > 0
    group by channel_id
),
moved as (
    select
        s.channel_id, c.external_id,
        s.missing_after - s.missing_before::float8 * s.corroborated_after / s.corroborated_before as more
    from summed s
    join channel c on c.channel_id = s.channel_id
    where s.corroborated_before > 0 and s.corroborated_after > 0 and not starts_with(c.external_id, $6::text)
),
shown as (
    (select * from moved where more > 0 order by more desc, external_id limit $7::integer)
    union all
    (select * from moved where more < 0 order by more, external_id limit $7::integer)
)
select
    s.channel_id, s.external_id, f.window_start >= $3::timestamptz as is_after,
    sum(f.messages)::bigint as messages, max(f.receivers) as receivers, sum(f.expected)::bigint as expected,
    sum(f.missing)::bigint as missing, sum(f.corroborated)::bigint as corroborated, sum(f.unknown)::bigint as unknown,
    count(*) filter (where f.corroborated > 0) as windows,
    case when bool_and(f.over_parts is not null or f.corroborated = 0) then
            array[sum(f.over_parts[1]), sum(f.over_parts[2]), sum(f.over_parts[3]), sum(f.over_parts[4])]
        end as over_parts
from shown s
join reliability_channel f on f.channel_id = s.channel_id and f.timeframe = $1::text
    and f.window_start >= $2::timestamptz and f.window_start < $4::timestamptz and f.membership = $5::text
    and f.receivers >= 2 and f.expected > 0
group by s.channel_id, s.external_id, s.more, is_after
order by abs(s.more) desc, s.external_id, is_after
