-- One channel in one window, message by message. Source: docs/causes.md, docs/algorithm.md.

-- name: channel
select exists (select from channel where channel_id = $channel_id::bigint)

-- name: latest_window
-- Where the latest computed window starts in which the channel has figures.
select max(window_start)
from reliability_channel
where channel_id = $channel_id::bigint and timeframe = $timeframe::text and membership = $membership::text

-- name: stored
-- What was computed of it.
select {counts}
from reliability_channel
where channel_id = $channel_id::bigint and timeframe = $timeframe::text and window_start = $window_start::timestamptz
  and membership = $membership::text

-- name: messages
-- The messages of a channel that were sent in the window, in the order of their time, and whether each is measured.
-- in   channel_id; start_ms, end_ms: of the window; unmeasured_kinds, status_go_kinds, unmeasured_patterns,
--      pattern_is_status_go: as in measured.sql; most: at most so many
with
unmeasured_channel as (
    select pattern.is_status_go
    from channel
    join unnest($unmeasured_patterns::text[], $pattern_is_status_go::boolean[]) as pattern (text, is_status_go)
        on external_id like pattern.text
    where channel_id = $channel_id::bigint
)

select
    message_id,
    sent_at,
    kind <> all ($unmeasured_kinds::integer[])
    and (kind = any ($status_go_kinds::integer[])) not in (select is_status_go from unmeasured_channel) as is_measured
from message
where channel_id = $channel_id::bigint and sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint
order by sent_at, external_id collate "C"
limit $most::integer

-- name: receipts
-- Who holds these messages of a channel and did not write them, who reports them and does not hold them, who wrote
-- them, and who is only known to have written them. Message by message in their order, by the key's index.
-- in   channel_id; message_ids, sent_at: of each message
select holders, failed, authors, marked
from unnest($message_ids::bigint[], $sent_at::bigint[]) with ordinality as wanted (message_id, sent_at, number)
cross join lateral (
    select
        coalesce(array_agg(receiver_id) filter (where not sent_by_receiver and state < 2048), '{}') as holders,
        coalesce(array_agg(receiver_id) filter (where not sent_by_receiver and state >= 2048), '{}') as failed,
        coalesce(array_agg(receiver_id) filter (where sent_by_receiver and state < 4096), '{}') as authors,
        coalesce(array_agg(receiver_id) filter (where sent_by_receiver and state >= 4096), '{}') as marked
    from receipt
    where sent_at = wanted.sent_at and channel_id = $channel_id::bigint and message_id = wanted.message_id
) receipt
order by number

-- name: details
-- What is stored of these messages of a channel, in their order, and on what their authors run; '' where one never said.
-- Of an author that was forgotten nothing is known.
-- in   channel_id; message_ids
select external_id, envelope_id, topics, message_type, message_size, platforms, app_versions
from unnest($message_ids::bigint[]) with ordinality as wanted (message_id, number)
join message on message.channel_id = $channel_id::bigint and message.message_id = wanted.message_id
join sample_kind using (kind)
cross join lateral (
    select
        coalesce(array_agg(platform order by receiver_id), '{}') as platforms,
        coalesce(array_agg(app_version order by receiver_id), '{}') as app_versions
    from receipt
    join receiver using (receiver_id)
    where receipt.sent_at = message.sent_at and receipt.channel_id = $channel_id::bigint
      and receipt.message_id = wanted.message_id and receipt.sent_by_receiver
) author
order by number
