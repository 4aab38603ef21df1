-- The reliability of one window, with all that it rests on. Source: docs/algorithm.md; the steps are named after its
-- terms.
--
-- in   start_ms, end_ms         of the window, Unix ms, half-open, whole minutes
--      membership               present | window | bracketed
--      unmeasured_kinds, status_go_kinds, unmeasured_patterns, pattern_is_status_go, quorum, weight_cap
--                               as in measured.sql
--      stay_channels, stay_receivers, stay_begins, stay_ends, hole_receivers, hole_after, hole_before
--                               as in spans.sql. They come in, so that the plan fits how many there are
--      first_hole_after, last_hole_before   the span of all holes in the window: no more is read again than lies between
--      smallest_group           receivers; smaller groups are put together
--      audit_channels           LIKE pattern of the channels that take part in no total
-- out  rows of rollup.sql
--
-- The receipts of the window were read before: by message (measured.sql) and by receiver (held.sql). What is joined here
-- has one row a channel or one a receiver of a channel. (message, receiver) pairs are never made: |X| is counted by binary
-- search in the channel's timeline, so the cost is linear in the receipts, however many pairs are missing. What is rare is
-- read once more and taken out: what receivers hold outside of their stay or within their holes, messages that too few
-- vouch for, marks of authors.
-- Every step on receipts groups by channel_id and joins on it, so that it stays on its shard.
with
unmeasured_channel as not materialized (
    select channel_id, pattern.is_status_go
    from channel
    join unnest($unmeasured_patterns::text[], $pattern_is_status_go::boolean[]) as pattern (text, is_status_go)
        on external_id like pattern.text
),

-- For how many messages of a channel a receiver alone vouches.
lone as materialized (
    select channel_id, receiver_id, count(*) as messages
    from measured
    cross join lateral unnest(lone_voucher) as voucher (receiver_id)
    group by channel_id, receiver_id
),

-- Who is not believed alone.
disbelieved as materialized (
    select channel_id, receiver_id
    from lone
    join (
        select channel_id, sum(cardinality(timeline)) as all_messages from measured group by channel_id
    ) size using (channel_id)
    -- In decimals: 29 of 100 are not more than 0.29.
    where $weight_cap::double precision < 1 and $quorum::integer = 1
      and messages > $weight_cap::double precision::numeric * all_messages
),

-- What is measured and not in M.
left_out_message as materialized (
    select channel_id, kind, message_id, sent_at
    from measured
    cross join lateral unnest(doubtful_id, doubtful_sent_at, doubtful_vouchers, doubtful_voucher)
        as doubtful (message_id, sent_at, vouchers, voucher)
    where vouchers < $quorum::integer
       or (channel_id, voucher) in (select channel_id, receiver_id from disbelieved)
),

-- M, kind by kind. What is concatenated to nothing is unpacked once, not at each search.
message_kind as materialized (
    select
        channel_id,
        kind,
        timeline || '{}'::bigint[] as timeline,
        lone_voucher || '{}'::bigint[] as lone_voucher,
        lone_sent_at || '{}'::bigint[] as lone_sent_at,
        lone_is_sent
    from (
        select
            m.channel_id,
            m.kind,
            case when l.sent_at is null then m.timeline else (
                select array_agg(sent_at order by sent_at)
                from (select unnest(m.timeline) as sent_at except all select unnest(l.sent_at)) rest
            ) end as timeline,
            m.lone_voucher,
            m.lone_sent_at,
            m.lone_is_sent
        from measured m
        left join (
            select channel_id, kind, array_agg(sent_at) as sent_at from left_out_message group by channel_id, kind
        ) l using (channel_id, kind)
    ) m
    where timeline is not null
),

-- What each receiver holds and sent, kind by kind.
held_kind as materialized (
    select
        channel_id,
        receiver_id,
        kind,
        kind <> all ($unmeasured_kinds::integer[])
        and (channel_id, kind = any ($status_go_kinds::integer[]))
            not in (select channel_id, is_status_go from unmeasured_channel)
        as is_measured,
        sum(held_or_sent - sent)::bigint as held,
        sum(sent)::bigint as sent,
        min(first_sent_at) filter (where delay >= 0) as first_sent_at,
        max(last_sent_at) filter (where delay >= 0) as last_sent_at
    from held
    group by channel_id, receiver_id, kind
),

-- Its first and last receipt of the channel within the window, measured or not.
receiver_of_window as (
    select
        channel_id,
        receiver_id,
        bool_or(is_measured) as has_measured,
        min(first_sent_at) as first_sent_at,
        max(last_sent_at) as last_sent_at
    from held_kind
    group by channel_id, receiver_id
),

-- include: counting.sql

-- What of all this is read once more: what receivers hold and sent outside of their stays, ...
outside_stay as (
    select
        channel_id,
        receiver_id,
        kind,
        count(*) filter (where not sent_by_receiver) as held,
        count(*) filter (where sent_by_receiver) as sent,
        array_agg(delay) filter (where not sent_by_receiver) as delays
    from receipt
    join part_stay using (channel_id, receiver_id)
    where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and not stays @> sent_at
      and delay >= 0
    group by channel_id, receiver_id, kind
),

-- ... within their holes and their stays, ...
in_hole as (
    select
        channel_id,
        receiver_id,
        kind,
        count(*) filter (where not sent_by_receiver) as held,
        array_agg(sent_at) filter (where sent_by_receiver) as sent,
        array_agg(delay) filter (where not sent_by_receiver) as delays
    from receipt
    join hole_of_receiver using (receiver_id)
    left join part_stay using (channel_id, receiver_id)
    where sent_at > $first_hole_after::bigint and sent_at < $last_hole_before::bigint and holes @> sent_at
      and (stays @> sent_at) is not false
    group by channel_id, receiver_id, kind
),

-- ... what is not in M, as far as it is not taken out by these two already, ...
left_out as (
    select
        channel_id,
        receiver_id,
        r.kind,
        count(*) filter (where not sent_by_receiver) as held,
        array_agg(sent_at) filter (where sent_by_receiver) as sent,
        array_agg(delay) filter (where not sent_by_receiver) as delays
    from left_out_message l
    cross join lateral (
        select receiver_id, kind, sent_by_receiver, delay
        from receipt
        where sent_at = l.sent_at and channel_id = l.channel_id and message_id = l.message_id
        offset 0  -- by the key, message by message
    ) r
    left join part_stay using (channel_id, receiver_id)
    left join hole_of_receiver using (receiver_id)
    where sent_by_receiver or ((stays @> sent_at) is not false and (holes @> sent_at) is not true)
    group by channel_id, receiver_id, r.kind
),

-- ... and what receivers are only known to have sent, without a receipt of it.
only_sent as (
    select channel_id, receiver_id, kind, array_agg(sent_at) as sent_at
    from receipt
    where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and created_at is null
    group by channel_id, receiver_id, kind
),

-- width_bucket(t, timeline) = how many messages of M have sentAt <= t. What a receiver sent lies between its first
-- and last receipt, but for the messages that it is only known to have sent and for those outside of its stays.
expectation as (
    select
        channel_id,
        receiver_id,
        kind,
        coalesce(k.held, 0) - coalesce(o.held, 0) - coalesce(h.held, 0) - coalesce(l.held, 0) as held,
        case when stays is null then
            coalesce(width_bucket(to_sent_at, m.timeline), cardinality(m.timeline))
            - coalesce(width_bucket(from_sent_at - 1, m.timeline), 0)
        else (
            select sum(width_bucket(upper(span) - 1, m.timeline) - width_bucket(lower(span) - 1, m.timeline))
            from unnest(stays) as span
        ) end
        - coalesce(k.sent, 0)
        + coalesce(o.sent, 0)
        + case when l.sent is null then 0 else (
            select count(*)
            from unnest(l.sent) as t (sent_at)
            where expected @> t.sent_at
        ) end
        + case when only_sent.sent_at is null then 0 else (
            select count(*)
            from unnest(only_sent.sent_at) as t (sent_at)
            where not expected @> t.sent_at
        ) end as pairs,
        case when holes is null then 0 else (
            select coalesce(
                sum(width_bucket(upper(span) - 1, m.timeline) - width_bucket(lower(span) - 1, m.timeline)), 0
            )
            from unnest(holes * expected) as span
        ) - (
            select count(*)
            from unnest(h.sent) as t (sent_at)
            where expected @> t.sent_at
        ) + (
            select count(*)
            from unnest(l.sent) as t (sent_at)
            where expected @> t.sent_at and holes @> t.sent_at
        ) end as unknown,
        case when $quorum::integer > 1 or (channel_id, receiver_id) in (select channel_id, receiver_id from disbelieved)
             then 0
             when width_bucket(receiver_id, m.lone_voucher) = width_bucket(receiver_id - 1, m.lone_voucher) then 0
             else (
                 select count(*)
                 from unnest(
                     m.lone_sent_at[
                         width_bucket(receiver_id - 1, m.lone_voucher) + 1 : width_bucket(receiver_id, m.lone_voucher)
                     ],
                     m.lone_is_sent[
                         width_bucket(receiver_id - 1, m.lone_voucher) + 1 : width_bucket(receiver_id, m.lone_voucher)
                     ]
                 ) as t (sent_at, is_sent)
                 where not is_sent and expected @> t.sent_at and (holes @> t.sent_at) is not true
             ) end as uncorroborated
    from counting
    join message_kind m using (channel_id)
    left join held_kind k using (channel_id, receiver_id, kind)
    left join outside_stay o using (channel_id, receiver_id, kind)
    left join in_hole h using (channel_id, receiver_id, kind)
    left join left_out l using (channel_id, receiver_id, kind)
    left join only_sent using (channel_id, receiver_id, kind)
    left join hole_of_receiver using (receiver_id)
    cross join lateral (
        select coalesce(stays, int8multirange(int8range(from_sent_at, to_sent_at, '[]'))) as expected
    ) spans_of_expected
),

-- What was expected of each receiver in each channel, kind by kind, and who it is: the pairs (results/columns.py) that
-- all figures are sums of.
kind_of_membership as materialized (
    select
        channel_id,
        receiver_id,
        kind,
        message_type,
        platform,
        app_version,
        pairs - unknown as expected,
        pairs - unknown - held as missing,
        pairs - unknown - uncorroborated as corroborated,
        unknown
    from expectation
    join receiver using (receiver_id)
    join sample_kind using (kind)
),

-- include: rollup.sql
