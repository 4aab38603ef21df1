-- One channel in one window, message by message. Source: docs/causes.md, docs/algorithm.md.

-- name: channel
select exists (select 1 from channel where channel_id = $channel_id::bigint)

-- name: latest_window
-- The start of the latest computed window in which the channel has figures.
select max(window_start)
from reliability_channel
where channel_id = $channel_id::bigint and timeframe = $timeframe::text and membership = $membership::text

-- name: stored
-- The stored counts of the channel in the window.
select {counts}
from reliability_channel
where channel_id = $channel_id::bigint and timeframe = $timeframe::text and window_start = $window_start::timestamptz
  and membership = $membership::text

-- name: messages
-- The messages of a channel that were sent in the window, ordered by time and id. For each: whether it is measured, and
-- whether an envelope of it was seen in the network.
-- in   channel_id
--      start_ms, end_ms: of the window
--      unmeasured_kinds, status_go_kinds: as in is_measured.sql
--      unmeasured_patterns, pattern_is_status_go: LIKE patterns, and whether each is for status-go's messages
--      most: returns at most so many messages
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
    external_id,
    sent_at,
    went_out,
    kind <> all ($unmeasured_kinds::integer[])
    and (kind = any ($status_go_kinds::integer[])) not in (select is_status_go from unmeasured_channel) as is_measured
from whole_message
where channel_id = $channel_id::bigint and sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint
order by sent_at, external_id collate "C"
limit $most::integer

-- name: hands
-- The installation of each receiver, and the network that it is behind.
select receiver_id, coalesce(installation_id, receiver_id) as installation_id, bucket_id
from receiver
where receiver_id = any ($receiver_ids::bigint[])

-- name: receipts
-- What became of these messages of a channel. One row for each message, sent_by_receiver and state without the delay
-- (said), with the receivers that have these values. In the order of the messages (number, from 1). Reads the key's
-- index.
-- in   channel_id; message_ids, sent_at: of each message
select number, sent_by_receiver, said, receivers
from unnest($message_ids::bigint[], $sent_at::bigint[]) with ordinality as wanted (message_id, sent_at, number)
cross join lateral (
    select sent_by_receiver, state & ~31 as said, array_agg(receiver_id) as receivers
    from receipt
    where sent_at = wanted.sent_at and channel_id = $channel_id::bigint and message_id = wanted.message_id
    group by sent_by_receiver, state & ~31
) receipt
order by number

-- name: details
-- What is stored of these messages of a channel, in the order given. Platforms and versions are those of the authors;
-- '' if an author never reported one, and nothing for an author that was forgotten. went_out: the message was seen in
-- the network or reported by another receiver. live, history, resent, not_said: by which way it came to the receivers
-- that hold it and did not write it. failed_*: receivers that report it as not held, and why. not_sent_reason: why its
-- author could not send it.
-- in   channel_id; message_ids
select
    external_id, envelope_id, topics, message_type, message_size, platforms, app_versions,
    went_out or reported as went_out, live, history, resent, not_said,
    failed_receivers, failed_outcomes, failed_reasons,
    (
        select reason
        from failure
        where failure.sent_at = message.sent_at and failure.channel_id = $channel_id::bigint
          and failure.message_id = message.message_id and outcome >= 3
        order by created_at nulls last, reason
        limit 1
    ) as not_sent_reason
from unnest($message_ids::bigint[]) with ordinality as wanted (message_id, number)
join whole_message message on message.channel_id = $channel_id::bigint and message.message_id = wanted.message_id
join sample_kind using (kind)
cross join lateral (
    select
        coalesce(array_agg(platform order by receipt.receiver_id) filter (where platform is not null), '{}') as platforms,
        coalesce(array_agg(app_version order by receipt.receiver_id) filter (where app_version is not null), '{}') as app_versions,
        coalesce(bool_or(not sent_by_receiver), false) as reported,
        count(*) filter (where holds and state & 96 = 32) as live,
        count(*) filter (where holds and state & 96 = 64) as history,
        count(*) filter (where holds and state & 96 = 96) as resent,
        count(*) filter (where holds and state & 96 = 0) as not_said
    from (
        select
            receiver_id,
            sent_by_receiver,
            state,
            not sent_by_receiver and state < 2048 as holds
        from receipt
        where receipt.sent_at = message.sent_at and receipt.channel_id = $channel_id::bigint
          and receipt.message_id = wanted.message_id
    ) receipt
    left join receiver on sent_by_receiver and receiver.receiver_id = receipt.receiver_id
) reports
cross join lateral (
    select
        coalesce(array_agg(receiver_id), '{}') as failed_receivers,
        coalesce(array_agg(outcome), '{}') as failed_outcomes,
        coalesce(array_agg(reason), '{}') as failed_reasons
    from failure
    where failure.sent_at = message.sent_at and failure.channel_id = $channel_id::bigint
      and failure.message_id = wanted.message_id and outcome <= 2
) failures
order by number
