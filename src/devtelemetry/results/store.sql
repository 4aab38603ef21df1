-- The results of one window: a timeframe, a window_start and a membership policy.

-- name: window
select revision, state, {window_columns}
from reliability_window
where timeframe = $timeframe::text and window_start = $window_start::timestamptz and membership = $membership::text

-- name: channels
select channel_id, {channel_columns}
from reliability_channel
where timeframe = $timeframe::text and window_start = $window_start::timestamptz and membership = $membership::text

-- name: groups
select channel_id, dimension, is_rest, value, {group_columns}
from reliability_group
where timeframe = $timeframe::text and window_start = $window_start::timestamptz and membership = $membership::text

-- name: store_window
-- The columns of publishing stay as they are.
insert into reliability_window (
    timeframe, window_start, membership, window_end, state, revision, computed_at, {window_columns}
) values (
    $timeframe, $window_start, $membership, $window_end, $state, $revision, $computed_at, {window_values}
)
on conflict (timeframe, window_start, membership) do update
set (window_end, state, revision, computed_at, {window_columns})
    = row ($window_end, $state, $revision, $computed_at, {window_values})

-- name: count_settled
-- For a window that is settled for the first time.
insert into settled_deliveries (timeframe, membership, deliveries, good)
values ($timeframe::text, $membership::text, $deliveries::bigint, $good::bigint)
on conflict (timeframe, membership) do update
set deliveries = settled_deliveries.deliveries + excluded.deliveries,
    good = settled_deliveries.good + excluded.good

-- name: delete_channels
delete from reliability_channel
where timeframe = $timeframe::text and window_start = $window_start::timestamptz and membership = $membership::text

-- name: delete_groups
delete from reliability_group
where timeframe = $timeframe::text and window_start = $window_start::timestamptz and membership = $membership::text
