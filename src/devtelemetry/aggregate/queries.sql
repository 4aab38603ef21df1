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

-- name: stored_window
select state, reliability, messages, receivers, expected, missing, corroborated, unknown, revision
from reliability_window
where timeframe = $1::text and window_start = $2::timestamptz and membership = $3::text

-- name: stored_channels
select channel_id, messages, receivers, expected, missing, corroborated, unknown
from reliability_channel
where timeframe = $1::text and window_start = $2::timestamptz and membership = $3::text

-- name: store_window
insert into reliability_window (
    timeframe, window_start, window_end, membership, state, reliability, messages, receivers, expected, missing,
    corroborated, unknown, revision, computed_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (timeframe, window_start, membership) do update
set window_end = excluded.window_end, state = excluded.state, reliability = excluded.reliability,
    messages = excluded.messages, receivers = excluded.receivers, expected = excluded.expected,
    missing = excluded.missing, corroborated = excluded.corroborated, unknown = excluded.unknown,
    revision = excluded.revision, computed_at = excluded.computed_at

-- name: delete_channels
delete from reliability_channel
where timeframe = $1::text and window_start = $2::timestamptz and membership = $3::text

-- name: store_channels
insert into reliability_channel (
    timeframe, window_start, membership, channel_id, messages, receivers, expected, missing, corroborated, unknown
)
select $1::text, $2::timestamptz, $3::text, *
from unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])

-- name: channel_names
select channel_id, external_id from channel where channel_id = any ($1::bigint[])
