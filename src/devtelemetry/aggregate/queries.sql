-- Around the algorithm (reliability.sql): what is due and what is stored.

-- name: arrivals
-- Of which minutes of event time samples are stored, and when the last of them came.
select sent_minute, arrived_at, arrived_on_time_at from arrival order by sent_minute

-- name: computed
-- The windows of a timeframe that were computed.
select window_start, state, computed_at
from reliability_window
where timeframe = $1::text and membership = $2::text and window_start >= $3::timestamptz

-- name: cleaned_days
-- All of them, once a run: one row a day that was ever kept, and there are many windows to hold against them.
select day_start from cleaned_day

-- name: kinds
select kind, source, message_type from sample_kind

-- name: holes
-- Which receivers lost reports of what was sent in the window [$1, $2): between two islands of an installation's numbers
-- reports are missing, so of what was sent between the last report before (`after`) and the first one after it (`before`)
-- nobody can say whether it arrived. An island without a time is passed over. Most installations have one run; they are
-- left out first.
with broken as (
    select installation_id from report_run group by installation_id having count(*) > 1
),
island as (
    select i.installation_id, i.ends_at, lead(i.begins_at) over by_number as goes_on_at
    from broken
    cross join lateral (
        select * from report_island r where r.installation_id = broken.installation_id and r.ends_at is not null
    ) i
    window by_number as (partition by i.installation_id order by i.first_sequence)
),
hole as (
    select installation_id, least(ends_at, goes_on_at) as after, greatest(ends_at, goes_on_at) as before
    from island
    where goes_on_at is not null
)
select receiver_id, after, before
from hole
join receiver using (installation_id)
where after < $2::bigint - 1 and before > $1::bigint

-- name: memberships
-- How many receivers hold messages of how many channels around the window [$1, $2), all together.
select count(*) from membership where first_sent_minute < $2::bigint and last_sent_minute >= $1::bigint

-- name: stored_window
-- What a later computation may change.
select
    revision, reliability, messages, receivers, expected, missing, corroborated, unknown, over_channels, over_receivers,
    over_parts, delivery_delays, report_delays, median, trimmed, influence, unseen, sample_coverage
from reliability_window
where timeframe = $1::text and window_start = $2::timestamptz and membership = $3::text

-- name: stored_channels
select
    channel_id, messages, receivers, expected, missing, corroborated, unknown, over_parts, delivery_delays,
    report_delays, captures, median, trimmed, influence
from reliability_channel
where timeframe = $1::text and window_start = $2::timestamptz and membership = $3::text

-- name: stored_groups
select
    channel_id, dimension, is_rest, value, messages, receivers, expected, missing, corroborated, unknown, over_channels,
    over_receivers, over_parts, delivery_delays, report_delays
from reliability_group
where timeframe = $1::text and window_start = $2::timestamptz and membership = $3::text

-- name: store_window
insert into reliability_window (
    timeframe, window_start, window_end, membership, state, revision, computed_at, reliability, messages, receivers,
    expected, missing, corroborated, unknown, over_channels, over_receivers, over_parts, delivery_delays, report_delays,
    median, trimmed, influence, unseen, sample_coverage
) values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24
)
on conflict (timeframe, window_start, membership) do update
set window_end = excluded.window_end, state = excluded.state, revision = excluded.revision,
    computed_at = excluded.computed_at, reliability = excluded.reliability, messages = excluded.messages,
    receivers = excluded.receivers, expected = excluded.expected, missing = excluded.missing,
    corroborated = excluded.corroborated, unknown = excluded.unknown, over_channels = excluded.over_channels,
    over_receivers = excluded.over_receivers, over_parts = excluded.over_parts,
    delivery_delays = excluded.delivery_delays, report_delays = excluded.report_delays, median = excluded.median,
    trimmed = excluded.trimmed, influence = excluded.influence, unseen = excluded.unseen,
    sample_coverage = excluded.sample_coverage

-- name: delete_reliability_channel
delete from reliability_channel
where timeframe = $1::text and window_start = $2::timestamptz and membership = $3::text

-- name: delete_reliability_group
delete from reliability_group
where timeframe = $1::text and window_start = $2::timestamptz and membership = $3::text

-- name: channel_names
select channel_id, external_id from channel where channel_id = any ($1::bigint[])
