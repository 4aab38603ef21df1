-- One channel in one window, message by message. Source: docs/causes.md, docs/algorithm.md.

-- name: channel
select exists (select from channel where channel_id = $1::bigint)

-- name: latest_window
-- Where the latest computed window starts in which the channel has figures. $2 timeframe, $3 membership.
select max(window_start)
from reliability_channel
where channel_id = $1::bigint and timeframe = $2::text and membership = $3::text

-- name: stored
-- What was computed of it: $2 timeframe, $3 window_start, $4 membership.
select messages, receivers, expected, missing, corroborated, unknown
from reliability_channel
where channel_id = $1::bigint and timeframe = $2::text and window_start = $3::timestamptz and membership = $4::text

-- name: messages
-- The messages of a channel ($1) that were sent in [$2, $3), in the order of their time, and whether each is measured:
-- $4 to $7 as $4 to $7 of reliability.sql. $8: at most so many.
with
unmeasured_channel as (
    select pattern.is_status_go
    from channel
    join unnest($6::text[], $7::boolean[]) as pattern (text, is_status_go) on external_id like pattern.text
    where channel_id = $1::bigint
)

select
    message_id,
    sent_at,
    kind <> all ($4::integer[])
    and (kind = any ($5::integer[])) not in (select is_status_go from unmeasured_channel) as is_measured
from message
where channel_id = $1::bigint and sent_at >= $2::bigint and sent_at < $3::bigint
order by sent_at, external_id collate "C"
limit $8::integer

-- name: receipts
-- Who holds these messages ($2 ids, $3 sentAt) of a channel ($1) and did not write them, who wrote them, and who is only
-- known to have written them (delay below 0: no sample). Message by message in their order, by the key's index.
select holders, authors, marked
from unnest($2::bigint[], $3::bigint[]) with ordinality as asked (message_id, sent_at, number)
cross join lateral (
    select
        coalesce(array_agg(receiver_id) filter (where not sent_by_receiver), '{}') as holders,
        coalesce(array_agg(receiver_id) filter (where sent_by_receiver and delay >= 0), '{}') as authors,
        coalesce(array_agg(receiver_id) filter (where sent_by_receiver and delay < 0), '{}') as marked
    from receipt
    where sent_at = asked.sent_at and channel_id = $1::bigint and message_id = asked.message_id
) receipt
order by number

-- name: details
-- What is stored of these messages ($2) of a channel ($1), in their order, and on what their authors run; '' where one
-- never said. Of an author that was forgotten nothing is known.
select external_id, envelope_id, topics, message_type, message_size, platforms, app_versions
from unnest($2::bigint[]) with ordinality as asked (message_id, number)
join message on message.channel_id = $1::bigint and message.message_id = asked.message_id
join sample_kind using (kind)
cross join lateral (
    select
        coalesce(array_agg(platform order by receiver_id), '{}') as platforms,
        coalesce(array_agg(app_version order by receiver_id), '{}') as app_versions
    from receipt
    join receiver using (receiver_id)
    where receipt.sent_at = message.sent_at and receipt.channel_id = $1::bigint
      and receipt.message_id = asked.message_id and receipt.sent_by_receiver
) author
order by number
