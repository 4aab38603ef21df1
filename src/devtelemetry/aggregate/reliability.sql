-- The reliability of one window, channel by channel. Source: docs/algorithm.md; the steps are named after its terms.
--
-- in   $1 window_start, $2 window_end   Unix ms, half-open, whole minutes
--      $3 membership                    present | window | bracketed
--      $4 unmeasured_kinds              integer[]: sample_kind.kind of the message types that are not measured
--      $5 status_go_kinds               integer[]: the kinds of messages that came by status-go's interface
--      $6, $7 unmeasured_channels       text[], boolean[]: LIKE patterns, and whether each is for status-go's messages
--      $8, $9, $10 holes                bigint[]: receivers that lost reports, and after and before which sentAt: open
--                                       intervals that touch the window, any number for each. They come in, so that the
--                                       plan fits how many there are
-- out  one row a channel that has a message in the window and a receiver that counts:
--      channel_id, messages, receivers, expected, missing, corroborated, unknown
--
-- Two passes over the receipts of the window (by message, by receiver); what is joined afterwards has one row a
-- channel or one a receiver of a channel. (message, receiver) pairs are never made: |X| is counted by binary search
-- in the channel's timeline, so the cost is linear in the receipts, however many pairs are missing.
-- Receivers that lost reports, or say that they joined or left within the window, are the exception: of them what does
-- not count is read once more, and taken out.
-- Every step on receipts groups by channel_id and joins on it, and each is referred to once or not materialized, so
-- that it stays on its shard.
with
unmeasured_channel as not materialized (
    select channel_id, pattern.is_status_go
    from channel
    join unnest($6::text[], $7::boolean[]) as pattern (text, is_status_go) on external_id like pattern.text
),

-- M, and how many hold or sent each of its messages. The kind and sentAt are the message's: all its receipts carry
-- the same. In the order of the key, so that the index is read once from end to end and no message waits in a table
-- of hashes for its next receipt.
message_of_window as (
    select
        channel_id,
        min(kind) as kind,
        sent_at,
        count(*) as holders,
        min(receiver_id) as first_holder,
        bool_or(sent_by_receiver) as has_author
    from (
        select sent_at, channel_id, message_id, receiver_id, kind, sent_by_receiver
        from receipt
        where sent_at >= $1::bigint and sent_at < $2::bigint
        order by sent_at, channel_id, message_id
    ) by_message
    group by sent_at, channel_id, message_id
),

-- timeline      sentAt of each message of M, ascending
-- sole_holders  for each message that one receiver alone vouches for, that receiver, ascending
-- sole_sent_at  the sentAt of those messages, in the same order
channel_of_window as (
    select
        channel_id,
        array_agg(sent_at order by sent_at) as timeline,
        coalesce(
            array_agg(first_holder order by first_holder) filter (where holders = 1 and not has_author), '{}'
        ) as sole_holders,
        array_agg(sent_at order by first_holder) filter (where holders = 1 and not has_author) as sole_sent_at
    from message_of_window
    where kind <> all ($4::integer[])
      and (channel_id, kind = any ($5::integer[])) not in (select channel_id, is_status_go from unmeasured_channel)
    group by channel_id
),

-- What each receiver holds and sent, kind by kind, ...
kind_of_window as (
    select
        channel_id,
        receiver_id,
        kind,
        count(*) as held_or_sent,
        count(*) filter (where sent_by_receiver) as sent,
        array_agg(sent_at) filter (where delays < 16) as only_sent,  -- its author, without a receipt of it
        min(sent_at) filter (where delays >= 16) as first_sent_at,
        max(sent_at) filter (where delays >= 16) as last_sent_at
    from receipt
    where sent_at >= $1::bigint and sent_at < $2::bigint
    group by channel_id, receiver_id, kind
),

-- ... of M; and its first and last receipt of the channel within the window, measured or not.
receiver_of_window as (
    select
        channel_id,
        receiver_id,
        coalesce(sum(held_or_sent) filter (where is_measured), 0) as held_or_sent,
        coalesce(sum(sent) filter (where is_measured), 0) as sent,
        string_agg(array_to_string(only_sent, ','), ',') filter (where is_measured) as only_sent,
        min(first_sent_at) as first_sent_at,
        max(last_sent_at) as last_sent_at
    from (
        select
            *,
            kind <> all ($4::integer[])
            and (channel_id, kind = any ($5::integer[])) not in (select channel_id, is_status_go from unmeasured_channel)
            as is_measured
        from kind_of_window
    ) by_kind
    group by channel_id, receiver_id
),

reporting as (
    select receiver_id
    from receiver
    where last_receipt_minute >= $2::bigint or last_heartbeat_minute >= $2::bigint
),

-- The receivers that count, and the span of sentAt in which each is expected to hold messages (NULL: no bound in the
-- window). What a receiver says of joining and leaving comes before what it holds: who says that it is still in has no
-- last. A first or last minute that lies in the window is that of a receipt in it, which tells the millisecond.
counting as (
    select
        channel_id,
        receiver_id,
        coalesce(r.held_or_sent - r.sent, 0) as held,
        coalesce(r.sent, 0) as sent,
        coalesce(string_to_array(r.only_sent, ',')::bigint[], '{}') as only_sent,
        case
            when m.joined_at is not null then nullif(greatest(m.joined_at, $1::bigint), $1::bigint)
            when $3::text = 'present' and m.first_sent_minute >= $1::bigint then r.first_sent_at
        end as from_sent_at,
        case
            when m.left_at is not null then nullif(least(m.left_at, $2::bigint - 1), $2::bigint - 1)
            when $3::text = 'present' and m.left_said_at is null and m.last_sent_minute < $2::bigint
            then r.last_sent_at
        end as to_sent_at
    from receiver_of_window r
    full join (
        select
            *,
            coalesce(joined_at, first_sent_minute) as first_at,
            case when left_said_at is null then last_sent_minute else coalesce(left_at, $2::bigint) end as last_at
        from membership
        where case $3::text
            when 'window' then joined_at is not null or left_at is not null
            else coalesce(joined_at, first_sent_minute) < $2::bigint
                and case when left_said_at is null then last_sent_minute else coalesce(left_at, $2::bigint) end
                    >= $1::bigint
        end
    ) m using (channel_id, receiver_id)
    where receiver_id in (select receiver_id from reporting)
      and case $3::text
          when 'present' then m.channel_id is not null
          when 'bracketed' then m.first_at < $1::bigint and m.last_at >= $2::bigint
          when 'window'
          then r.held_or_sent > 0 and coalesce(m.joined_at < $2::bigint, true) and coalesce(m.left_at >= $1::bigint, true)
      end
),

-- What receivers hold and sent of M before they joined or after they left, as they say.
part_said as not materialized (
    select channel_id, receiver_id, joined_at, left_at
    from membership
    where (joined_at > $1::bigint and joined_at < $2::bigint) or (left_at >= $1::bigint and left_at < $2::bigint - 1)
),

outside_part as (
    select
        channel_id,
        receiver_id,
        count(*) filter (where not sent_by_receiver) as held_outside,
        count(*) filter (where sent_by_receiver) as sent_outside
    from receipt
    join part_said using (channel_id, receiver_id)
    where sent_at >= $1::bigint and sent_at < $2::bigint and (sent_at < joined_at or sent_at > left_at)
      and delays >= 16
      and kind <> all ($4::integer[])
      and (channel_id, kind = any ($5::integer[])) not in (select channel_id, is_status_go from unmeasured_channel)
    group by channel_id, receiver_id
),

-- H of the receivers that have one: the spans of sentAt in which reports of theirs are missing.
hole_of_receiver as not materialized (
    select receiver_id, range_agg(int8range(after, before, '()') * int8range($1::bigint, $2::bigint)) as holes
    from unnest($8::bigint[], $9::bigint[], $10::bigint[]) as h (receiver_id, after, before)
    group by receiver_id
),

-- What these receivers hold and sent of M within their holes, and within their part.
in_hole as (
    select
        channel_id,
        receiver_id,
        count(*) filter (where not sent_by_receiver) as held_in_hole,
        array_agg(sent_at) filter (where sent_by_receiver) as sent_in_hole
    from receipt
    join hole_of_receiver using (receiver_id)
    left join part_said using (channel_id, receiver_id)
    where sent_at >= $1::bigint and sent_at < $2::bigint and holes @> sent_at
      and not coalesce(sent_at < joined_at, false) and not coalesce(sent_at > left_at, false)
      and kind <> all ($4::integer[])
      and (channel_id, kind = any ($5::integer[])) not in (select channel_id, is_status_go from unmeasured_channel)
    group by channel_id, receiver_id
),

-- width_bucket(t, timeline) = how many messages of M have sentAt <= t. What a receiver sent lies between its first
-- and last receipt, but for the messages that it is only known to have sent and for those outside of its part.
expectation as (
    select
        channel_id,
        cardinality(c.timeline) as messages,
        held - coalesce(held_outside, 0) - coalesce(held_in_hole, 0) as held,
        greatest(
            coalesce(width_bucket(to_sent_at, c.timeline), cardinality(c.timeline))
            - coalesce(width_bucket(from_sent_at - 1, c.timeline), 0),
            0
        )
        - sent
        + coalesce(sent_outside, 0)
        + (
            select count(*)
            from unnest(only_sent) as t (sent_at)
            where not expected @> t.sent_at
        ) as pairs,
        case when holes is null then 0 else (
            select coalesce(
                sum(width_bucket(upper(span) - 1, c.timeline) - width_bucket(lower(span) - 1, c.timeline)), 0
            )
            from unnest(holes * int8multirange(expected)) as span
        ) - (
            select count(*)
            from unnest(sent_in_hole) as t (sent_at)
            where expected @> t.sent_at
        ) end as unknown,
        case when cardinality(c.sole_holders) = 0 then 0
             when holes is null and from_sent_at is null and to_sent_at is null
             then width_bucket(receiver_id, c.sole_holders) - width_bucket(receiver_id - 1, c.sole_holders)
             else (
                 select count(*)
                 from unnest(c.sole_sent_at[
                     width_bucket(receiver_id - 1, c.sole_holders) + 1 : width_bucket(receiver_id, c.sole_holders)
                 ]) as t (sent_at)
                 where expected @> t.sent_at and (holes @> t.sent_at) is not true
             ) end as uncorroborated
    from counting
    join channel_of_window c using (channel_id)
    left join outside_part using (channel_id, receiver_id)
    left join hole_of_receiver using (receiver_id)
    left join in_hole using (channel_id, receiver_id)
    -- Empty for who left before it joined.
    cross join lateral (
        select int8range(
            from_sent_at, case when to_sent_at < from_sent_at then from_sent_at else to_sent_at + 1 end, '[)'
        ) as expected
    ) span_of_expected
)

select
    channel_id,
    messages::bigint,
    count(*) as receivers,
    (sum(pairs) - sum(unknown))::bigint as expected,
    (sum(pairs) - sum(unknown) - sum(held))::bigint as missing,
    (sum(pairs) - sum(unknown) - sum(uncorroborated))::bigint as corroborated,
    sum(unknown)::bigint as unknown
from expectation
group by channel_id, messages
