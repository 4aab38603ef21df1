-- What was sent in a window: its measured messages, channel by channel and kind by kind. The first of two passes over its
-- receipts; reliability.sql goes on from this table. Source: docs/algorithm.md, "One window, one channel".
--
-- in   $1 window_start, $2 window_end   Unix ms, half-open, whole minutes
--      $3 unmeasured_kinds              integer[]: sample_kind.kind of the message types that are not measured
--      $4 status_go_kinds               integer[]: the kinds of messages that came by status-go's interface
--      $5, $6 unmeasured_channels       text[], boolean[]: LIKE patterns, and whether each is for status-go's messages
--      $7 quorum, $8 weight_cap         how many must vouch for a message; the greatest share of a channel's messages
--                                       that exist by the word of one receiver alone
--
-- A statement of its own, so that it can be planned as it is best: in the order of the key, the index is read once from
-- end to end by several workers, and no message waits in a table of hashes for its next receipt.
create temp table measured on commit drop as
with
unmeasured_channel as not materialized (
    select channel_id, pattern.is_status_go
    from channel
    join unnest($5::text[], $6::boolean[]) as pattern (text, is_status_go) on external_id like pattern.text
),

-- What was sent, and how many vouch for each message: hold or sent it. The kind and sentAt are the message's: all its
-- receipts carry the same.
message_of_window as (
    select
        channel_id,
        message_id,
        min(kind) as kind,
        sent_at,
        count(*) as vouchers,
        count(*) filter (where sent_by_receiver) as authors,
        min(receiver_id) filter (where not sent_by_receiver) as first_capturer,
        min(receiver_id) filter (where sent_by_receiver) as first_author
    from receipt
    where sent_at >= $1::bigint and sent_at < $2::bigint
    group by sent_at, channel_id, message_id
)

-- The measured messages of a channel, kind by kind.
-- timeline       their sentAt, ascending
-- lone_*         of each that one receiver alone vouches for: that receiver, ascending; sentAt; whether it sent it
-- doubtful_*     of each that quorum or cap may keep out of M: id, sentAt, how many vouch for it and one of these
-- capturers      of each that one receiver captured: that one
select
    channel_id,
    kind,
    array_agg(sent_at order by sent_at) as timeline,
    coalesce(array_agg(voucher order by voucher) filter (where vouchers = 1), '{}') as lone_voucher,
    array_agg(sent_at order by voucher) filter (where vouchers = 1) as lone_sent_at,
    array_agg(authors = 1 order by voucher) filter (where vouchers = 1) as lone_is_sent,
    array_agg(message_id) filter (where is_doubtful) as doubtful_id,
    array_agg(sent_at) filter (where is_doubtful) as doubtful_sent_at,
    array_agg(vouchers) filter (where is_doubtful) as doubtful_vouchers,
    array_agg(voucher) filter (where is_doubtful) as doubtful_voucher,
    sum(vouchers - authors) as captures,
    count(*) filter (where vouchers - authors = 2) as captured_twice,
    coalesce(array_agg(first_capturer) filter (where vouchers - authors = 1), '{}') as capturers
from (
    select
        *,
        coalesce(first_capturer, first_author) as voucher,
        vouchers < $7::integer or ($8::double precision < 1 and vouchers = 1) as is_doubtful
    from message_of_window
    where kind <> all ($3::integer[])
      and (channel_id, kind = any ($4::integer[])) not in (select channel_id, is_status_go from unmeasured_channel)
) message
group by channel_id, kind
