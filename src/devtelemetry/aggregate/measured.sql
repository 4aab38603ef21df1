-- The measured messages of a window, by channel and kind. Reads the table of kind_of_window.sql. Of the messages that
-- may be in one hand, it finds those that are. Source: docs/algorithm.md, "Who is believed".
create temp table measured on commit drop as
with
-- Messages that are in one hand: all their vouchers are of one installation, or are behind one network (bucket_id;
-- NULL: they are not, or it is not known).
one_hand as materialized (
    select channel_id, kind, suspect.message_id, suspect.sent_at, receivers, are_sent, is_one_installation, bucket_id
    from kind_of_window
    cross join lateral unnest(suspect_id, suspect_sent_at) as suspect (message_id, sent_at)
    cross join lateral (
        select
            array_agg(r.receiver_id) as receivers,
            array_agg(r.sent_by_receiver) as are_sent,
            count(distinct coalesce(v.installation_id, r.receiver_id)) = 1 as is_one_installation,
            case when count(distinct v.bucket_id) = 1 and count(v.bucket_id) = count(*) then min(v.bucket_id) end as bucket_id
        from receipt r
        left join receiver v using (receiver_id)
        where r.sent_at = suspect.sent_at and r.channel_id = kind_of_window.channel_id
          and r.message_id = suspect.message_id
    ) vouchers
    where is_one_installation or bucket_id is not null
),

-- Grouped once, because clients may make up many kinds, and a search for each kind of each channel would take long.
hand as (
    select
        channel_id,
        kind,
        array_agg(voucher) as voucher,
        array_agg(message_id) as message_id,
        array_agg(sent_at) as sent_at,
        array_agg(is_sent) as is_sent
    from one_hand
    cross join lateral unnest(receivers, are_sent) as one (voucher, is_sent)
    where is_one_installation
    group by channel_id, kind
),

neighbor as (
    select
        channel_id,
        kind,
        array_agg(message_id) as message_id,
        array_agg(sent_at) as sent_at,
        array_agg(bucket_id) as bucket_id
    from one_hand
    where not is_one_installation
    group by channel_id, kind
)

-- The measured messages of a channel, by kind.
-- timeline       their sentAt, ascending
-- lone_*         messages that one installation alone vouches for, one entry for each of its receivers that do:
--                receiver (ascending), id, sentAt, whether that receiver sent the message
-- doubtful_*     messages that the quorum keeps out of M: id, sentAt
-- neighbor_*     messages whose vouchers are several installations, all behind one network: id, sentAt, that network
-- capturers      the receiver of each message that only one receiver captured
-- unsent_*       messages that only their authors report, and one of them could not send it: id, sentAt
-- authored_*     messages with one author: id, sentAt, that author
-- several_*      messages with several authors: id, sentAt
select
    channel_id,
    kind,
    timeline,
    coalesce(lone.voucher, '{}') as lone_voucher,
    coalesce(lone.message_id, '{}') as lone_id,
    coalesce(lone.sent_at, '{}') as lone_sent_at,
    coalesce(lone.is_sent, '{}') as lone_is_sent,
    doubtful_id,
    doubtful_sent_at,
    neighbor.message_id as neighbor_id,
    neighbor.sent_at as neighbor_sent_at,
    neighbor.bucket_id as neighbor_bucket,
    captures,
    captured_twice,
    coalesce(capturers, '{}') as capturers,
    unsent_id,
    unsent_sent_at,
    authored_id,
    authored_sent_at,
    authored_by,
    several_id,
    several_sent_at
from kind_of_window k
left join hand using (channel_id, kind)
left join neighbor using (channel_id, kind)
cross join lateral (
    select
        array_agg(voucher order by voucher, sent_at) as voucher,
        array_agg(message_id order by voucher, sent_at) as message_id,
        array_agg(sent_at order by voucher, sent_at) as sent_at,
        array_agg(is_sent order by voucher, sent_at) as is_sent
    from (
        select * from unnest(lone_voucher, lone_id, lone_sent_at, lone_is_sent)
        union all
        select * from unnest(hand.voucher, hand.message_id, hand.sent_at, hand.is_sent)
    ) one (voucher, message_id, sent_at, is_sent)
) lone
