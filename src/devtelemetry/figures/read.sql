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
