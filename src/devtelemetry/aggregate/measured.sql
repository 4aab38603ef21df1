-- What was sent in a window: its measured messages, channel by channel and kind by kind. The first of three passes over its
-- receipts; reliability.sql goes on from this table. Source: docs/algorithm.md, "One window, one channel".
--
-- in   start_ms, end_ms         of the window, Unix ms, half-open, whole minutes
--      those of is_measured.sql
--      quorum                   how many installations must vouch for a message
-- What algorithm.py fills in: of what measured_slice.sql reads receipts, how many installations vouch for a message
-- (voters), and whether all of them may be in one hand, as far as the first and the last one by id tell (is_suspect).
--
-- A statement of its own, so that it can be planned as it is best: workers read slices of time, each in the order of the
-- key, and no message waits in a table of hashes for its next receipt. Few rows go from them to the leader.
create temp table measured on commit drop as
with
slice_of_window as (
    -- include: measured_slice.sql slice=0 of=2
    union all
    -- include: measured_slice.sql slice=1 of=2
),

-- Put together in the order of time.
kind_of_channel as (
    select
        channel_id,
        kind,
        max(timeline) filter (where slice = 0) || max(timeline) filter (where slice = 1) as timeline,
        max(lone_voucher) filter (where slice = 0) || max(lone_voucher) filter (where slice = 1) as lone_voucher,
        max(lone_sent_at) filter (where slice = 0) || max(lone_sent_at) filter (where slice = 1) as lone_sent_at,
        max(lone_is_sent) filter (where slice = 0) || max(lone_is_sent) filter (where slice = 1) as lone_is_sent,
        max(lone_id) filter (where slice = 0) || max(lone_id) filter (where slice = 1) as lone_id,
        max(doubtful_id) filter (where slice = 0) || max(doubtful_id) filter (where slice = 1) as doubtful_id,
        max(doubtful_sent_at) filter (where slice = 0) || max(doubtful_sent_at) filter (where slice = 1) as doubtful_sent_at,
        max(suspect_id) filter (where slice = 0) || max(suspect_id) filter (where slice = 1) as suspect_id,
        max(suspect_sent_at) filter (where slice = 0) || max(suspect_sent_at) filter (where slice = 1) as suspect_sent_at,
        max(capturers) filter (where slice = 0) || max(capturers) filter (where slice = 1) as capturers,
        sum(captures) as captures,
        sum(captured_twice) as captured_twice,
        max(unsent_id) filter (where slice = 0) || max(unsent_id) filter (where slice = 1) as unsent_id,
        max(unsent_sent_at) filter (where slice = 0) || max(unsent_sent_at) filter (where slice = 1) as unsent_sent_at,
        max(authored_id) filter (where slice = 0) || max(authored_id) filter (where slice = 1) as authored_id,
        max(authored_sent_at) filter (where slice = 0) || max(authored_sent_at) filter (where slice = 1) as authored_sent_at,
        max(authored_by) filter (where slice = 0) || max(authored_by) filter (where slice = 1) as authored_by,
        max(several_id) filter (where slice = 0) || max(several_id) filter (where slice = 1) as several_id,
        max(several_sent_at) filter (where slice = 0) || max(several_sent_at) filter (where slice = 1) as several_sent_at
    from slice_of_window
    group by channel_id, kind
),

-- Of the messages that may be in one hand, those that are: all who vouch for them are one installation, or are behind one
-- network (bucket_id; NULL: they are not, or it is not known).
one_hand as materialized (
    select channel_id, kind, suspect.message_id, suspect.sent_at, receivers, are_sent, is_one_installation, bucket_id
    from kind_of_channel
    cross join lateral unnest(suspect_id, suspect_sent_at) as suspect (message_id, sent_at)
    cross join lateral (
        select
            array_agg(r.receiver_id) as receivers,
            array_agg(r.sent_by_receiver) as are_sent,
            count(distinct coalesce(v.installation_id, r.receiver_id)) = 1 as is_one_installation,
            case when count(distinct v.bucket_id) = 1 and count(v.bucket_id) = count(*) then min(v.bucket_id) end as bucket_id
        from receipt r
        left join receiver v using (receiver_id)
        where r.sent_at = suspect.sent_at and r.channel_id = kind_of_channel.channel_id
          and r.message_id = suspect.message_id
    ) vouchers
    where is_one_installation or bucket_id is not null
)

-- The measured messages of a channel, kind by kind.
-- timeline       their sentAt, ascending
-- lone_*         of each that one installation alone vouches for: its receivers that do, ascending; id; sentAt; whether
--                that one sent it
-- doubtful_*     of each that the quorum keeps out of M: id, sentAt
-- neighbor_*     of each that several installations behind one network alone vouch for: id, sentAt, that network
-- capturers      of each that one receiver captured: that one
-- unsent_*       of each that nobody but authors reports, one of whom says that it could not be sent: id, sentAt
-- authored_*     of each that one receiver wrote: id, sentAt and that one
-- several_*      of each that several wrote: id, sentAt
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
from kind_of_channel k
cross join lateral (
    select
        array_agg(voucher order by voucher, sent_at) as voucher,
        array_agg(message_id order by voucher, sent_at) as message_id,
        array_agg(sent_at order by voucher, sent_at) as sent_at,
        array_agg(is_sent order by voucher, sent_at) as is_sent
    from (
        select * from unnest(lone_voucher, lone_id, lone_sent_at, lone_is_sent)
        union all
        select voucher, message_id, sent_at, is_sent
        from one_hand
        cross join lateral unnest(receivers, are_sent) as one (voucher, is_sent)
        where is_one_installation and channel_id = k.channel_id and kind = k.kind
    ) one (voucher, message_id, sent_at, is_sent)
) lone
cross join lateral (
    select
        array_agg(message_id) as message_id, array_agg(sent_at) as sent_at, array_agg(bucket_id) as bucket_id
    from one_hand
    where not is_one_installation and channel_id = k.channel_id and kind = k.kind
) neighbor
