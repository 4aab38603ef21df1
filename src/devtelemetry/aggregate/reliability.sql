-- The reliability of one window, with all counts behind it. Source: docs/algorithm.md; the steps are named after its
-- terms.
--
-- in   start_ms, end_ms         of the window, Unix ms, half-open, whole minutes
--      quorum                   how many installations must vouch for a message
--      stay_channels, stay_receivers, stay_begins, stay_ends, hole_receivers, hole_after, hole_before
--                               as in spans.sql. They are parameters, so that the plan fits their number
--      first_hole_after, last_hole_before   the span of all holes in the window; only receipts in it are read again
--      smallest_group           groups with fewer receivers are put together
--      most_reasons             how many reasons for missing pairs are told apart
--      most_values              how many values of a dimension are told apart
--      fewest_installations     as in claimed.sql
--      {end}                    what is made of kind_of_membership: figures.sql, or versions.sql, which takes fewer of
--                               these parameters
--      audit_channels           LIKE pattern of the channels that take part in no total
-- out  the rows of {end}
--
-- Earlier statements read the window's receipts by message (kind_of_window.sql), by receiver (held.sql) and by author
-- (authored.sql). They also found who counts (counted.sql, member.sql) and what is not believed (claimed.sql). The
-- tables that are joined here have one row for each channel or for each receiver of a channel. (message, receiver)
-- pairs are never made: |X| is counted by binary search in the channel's timeline. So the cost is linear in the
-- receipts, however many pairs are missing. Rare things are read once more and taken out: what receivers hold outside
-- their stays or within their holes, messages with too few vouchers, and authors' marks.
-- Every step on receipts groups by channel_id and joins on it, so that it stays on its shard.
with
-- The messages that are measured and not in M.
left_out_message as materialized (
    select channel_id, kind, message_id, sent_at from claimed where is_left_out
),

-- The messages of M that one installation alone vouches for, each with the receivers of that installation that report
-- it and did not write it.
lone_pair as materialized (
    select channel_id, kind, receiver_id, message_id, sent_at
    from measured
    cross join lateral unnest(lone_voucher, lone_id, lone_sent_at, lone_is_sent)
        as alone (receiver_id, message_id, sent_at, is_sent)
    where not is_sent and (channel_id, message_id) not in (select channel_id, message_id from left_out_message)
),

lone as (
    select
        channel_id,
        kind,
        array_agg(receiver_id order by receiver_id, sent_at) as receiver_id,
        array_agg(sent_at order by receiver_id, sent_at) as sent_at
    from lone_pair
    group by channel_id, kind
),

-- M, by kind. Concatenating an empty array makes PostgreSQL unpack each array once, not at each search. A channel stays
-- even if the cap leaves out all its messages, because it is shown.
message_kind as materialized (
    select
        channel_id,
        kind,
        coalesce(timeline, '{}') || '{}'::bigint[] as timeline,
        coalesce(lone.receiver_id, '{}') || '{}'::bigint[] as lone_receiver,
        coalesce(lone.sent_at, '{}') || '{}'::bigint[] as lone_sent_at
    from (
        select *, bool_or(timeline is not null) over (partition by channel_id) as has_messages
        from (
            select
                m.channel_id,
                m.kind,
                case when l.sent_at is null then m.timeline else (
                    select array_agg(sent_at order by sent_at)
                    from (select unnest(m.timeline) as sent_at except all select unnest(l.sent_at)) rest
                ) end as timeline
            from measured m
            left join (
                select channel_id, kind, array_agg(sent_at) as sent_at from left_out_message group by channel_id, kind
            ) l using (channel_id, kind)
        ) left_in
    ) m
    left join lone using (channel_id, kind)
    where timeline is not null or ($quorum::integer = 1 and not has_messages)
),

-- How many messages of each kind each receiver sent.
held_kind as materialized (
    select channel_id, receiver_id, kind, sum(sent)::bigint as sent
    from held
    group by channel_id, receiver_id, kind
),

-- include: spans.sql

-- What is read once more and taken out: what receivers report and sent outside their stays, ...
outside_stay as (
    select
        channel_id,
        receiver_id,
        {told_kind} as kind,
        count(*) filter (where sent_by_receiver) as sent,
        array_agg(state) filter (where not sent_by_receiver) as states
    from receipt
    join part_stay using (channel_id, receiver_id)
    {rare_kinds}
    where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and not stays @> sent_at
      and state < 4096
    group by channel_id, receiver_id, {told_kind}
),

-- ... within their holes and their stays, ...
in_hole as (
    select
        channel_id,
        receiver_id,
        {told_kind} as kind,
        array_agg(sent_at) filter (where sent_by_receiver) as sent,
        array_agg(state) filter (where not sent_by_receiver) as states
    from receipt
    join hole_of_receiver using (receiver_id)
    left join part_stay using (channel_id, receiver_id)
    {rare_kinds}
    where sent_at > $first_hole_after::bigint and sent_at < $last_hole_before::bigint and holes @> sent_at
      and (stays @> sent_at) is not false
    group by channel_id, receiver_id, {told_kind}
),

-- ... receipts of messages that are not in M, unless these two steps have taken them out already, ...
left_out as (
    select
        channel_id,
        receiver_id,
        l.kind,
        array_agg(sent_at) filter (where sent_by_receiver) as sent,
        array_agg(state) filter (where not sent_by_receiver) as states
    from left_out_message l
    cross join lateral (
        select receiver_id, sent_by_receiver, state
        from receipt
        where sent_at = l.sent_at and channel_id = l.channel_id and message_id = l.message_id
        offset 0  -- by the key, message by message
    ) r
    left join part_stay using (channel_id, receiver_id)
    left join hole_of_receiver using (receiver_id)
    where sent_by_receiver or ((stays @> sent_at) is not false and (holes @> sent_at) is not true)
    group by channel_id, receiver_id, l.kind
),

-- ... and authors' marks: what receivers are known to have sent, without a receipt.
only_sent as (
    select channel_id, receiver_id, {told_kind} as kind, array_agg(sent_at) as sent_at
    from receipt
    {rare_kinds}
    where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and state >= 4096
    group by channel_id, receiver_id, {told_kind}
),

-- Pairs by the state of their receipt, without what is taken out.
state_of_pair as materialized (
    select channel_id, receiver_id, kind, state, receipts - sent as n from held where receipts > sent
    union all
    select channel_id, receiver_id, kind, unnest(states), -1 from outside_stay
    union all
    select channel_id, receiver_id, kind, unnest(states), -1 from in_hole
    union all
    select channel_id, receiver_id, kind, unnest(states), -1 from left_out
),

-- What became of these pairs.
outcome_of_kind as materialized (
    select
        channel_id,
        receiver_id,
        kind,
        {outcomes}
    from state_of_pair
    group by channel_id, receiver_id, kind
),

-- The messages of M that were not sent, each with the reason that its author gave first, ...
unsent_message as materialized (
    select channel_id, kind, message_id, sent_at, reason
    from measured
    cross join lateral unnest(unsent_id, unsent_sent_at) as unsent (message_id, sent_at)
    cross join lateral (
        select reason
        from failure
        where failure.sent_at = unsent.sent_at and failure.channel_id = measured.channel_id
          and failure.message_id = unsent.message_id and outcome >= 3
        order by created_at nulls last, reason
        limit 1
    ) failure
    where (channel_id, message_id) not in (select channel_id, message_id from left_out_message)
      and not exists (
          select 1
          from message
          where message.channel_id = measured.channel_id and message.message_id = unsent.message_id and went_out
      )
),

-- ... their authors, ...
unsent_author as materialized (
    select channel_id, kind, message_id, sent_at, receiver_id
    from unsent_message
    cross join lateral (
        select receiver_id
        from receipt r
        where r.sent_at = unsent_message.sent_at and r.channel_id = unsent_message.channel_id
          and r.message_id = unsent_message.message_id and sent_by_receiver
        offset 0  -- by the key
    ) author
),

unsent_by as materialized (
    select channel_id, kind, receiver_id, array_agg(sent_at) as sent_at
    from unsent_author
    group by channel_id, kind, receiver_id
),

-- ... and all such messages of each kind.
unsent_kind as materialized (
    select channel_id, kind, array_agg(sent_at) as sent_at from unsent_message group by channel_id, kind
),

-- width_bucket(t, timeline) is the number of messages of M with sentAt <= t. What a receiver sent is subtracted: it
-- lies between the receiver's first and last receipt, except for authors' marks and for messages outside its stays.
expectation as (
    select
        channel_id,
        receiver_id,
        kind,
        coalesce(o.held, 0) as held,
        coalesce(o.unreadable, 0) as unreadable,
        coalesce(o.dropped, 0) as dropped,
        coalesce(o.recovered, 0) as recovered,
        coalesce(o.by_live, 0) as by_live,
        coalesce(o.by_history, 0) as by_history,
        coalesce(o.by_resend, 0) as by_resend,
        case when stays is null then
            coalesce(width_bucket(to_sent_at, m.timeline), cardinality(m.timeline))
            - coalesce(width_bucket(from_sent_at - 1, m.timeline), 0)
        else (
            select sum(width_bucket(upper(span) - 1, m.timeline) - width_bucket(lower(span) - 1, m.timeline))
            from unnest(stays) as span
        ) end
        - coalesce(k.sent, 0)
        + coalesce(outside_stay.sent, 0)
        + case when l.sent is null then 0 else (
            select count(*)
            from unnest(l.sent) as t (sent_at)
            where spans @> t.sent_at
        ) end
        + case when only_sent.sent_at is null then 0 else (
            select count(*)
            from unnest(only_sent.sent_at) as t (sent_at)
            where not spans @> t.sent_at
        ) end as pairs,
        case when holes is null then 0 else (
            select coalesce(
                sum(width_bucket(upper(span) - 1, m.timeline) - width_bucket(lower(span) - 1, m.timeline)), 0
            )
            from unnest(holes * spans) as span
        ) - (
            select count(*)
            from unnest(h.sent) as t (sent_at)
            where spans @> t.sent_at
        ) + (
            select count(*)
            from unnest(l.sent) as t (sent_at)
            where spans @> t.sent_at and holes @> t.sent_at
        ) end as unknown,
        case when width_bucket(receiver_id, m.lone_receiver) = width_bucket(receiver_id - 1, m.lone_receiver) then 0
             else (
                 select count(*)
                 from unnest(
                     m.lone_sent_at[
                         width_bucket(receiver_id - 1, m.lone_receiver) + 1 : width_bucket(receiver_id, m.lone_receiver)
                     ]
                 ) as t (sent_at)
                 where spans @> t.sent_at and (holes @> t.sent_at) is not true
             ) end as uncorroborated,
        case when unsent.sent_at is null then 0 else (
            select count(*)
            from unnest(unsent.sent_at) as t (sent_at)
            where spans @> t.sent_at and (holes @> t.sent_at) is not true
        ) - (
            select count(*)
            from unnest(own.sent_at) as t (sent_at)
            where spans @> t.sent_at and (holes @> t.sent_at) is not true
        ) end as not_sent
    from member
    join message_kind m using (channel_id)
    left join held_kind k using (channel_id, receiver_id, kind)
    left join outcome_of_kind o using (channel_id, receiver_id, kind)
    left join outside_stay using (channel_id, receiver_id, kind)
    left join in_hole h using (channel_id, receiver_id, kind)
    left join left_out l using (channel_id, receiver_id, kind)
    left join only_sent using (channel_id, receiver_id, kind)
    left join unsent_kind unsent using (channel_id, kind)
    left join unsent_by own using (channel_id, receiver_id, kind)
),

-- The name of each kind's message type. The rare kinds of a channel are one kind by now.
kind_of_channel as materialized (
    select
        channel_id,
        kind,
        case when (channel_id, kind) in (select channel_id, together from rare_kind) then '(other)' else message_type end
            as message_type
    from message_kind
    join sample_kind using (kind)
),

-- What was expected of each receiver in each channel, by kind, and what the receiver says of itself. All figures are
-- sums of these pairs (results/columns.py).
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
        unknown,
        unreadable,
        dropped,
        not_sent,
        recovered,
        by_live,
        by_history,
        by_resend
    from expectation
    join receiver using (receiver_id)
    join kind_of_channel using (channel_id, kind)
),

-- Why pairs are missing, by class and reason.
reason_of_membership as materialized (
    select
        channel_id,
        receiver_id,
        case outcome when 1 then 'unreadable' else 'dropped' end as class,
        reason,
        count(*) as pairs
    from failure
    cross join lateral (
        select kind
        from receipt r
        where r.sent_at = failure.sent_at and r.channel_id = failure.channel_id and r.message_id = failure.message_id
          and r.receiver_id = failure.receiver_id and not sent_by_receiver and state >= 2048
          and outcome = case when state & 128 <> 0 then 1 else 2 end
        offset 0  -- by the key
    ) receipt
    join member using (channel_id, receiver_id)
    where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and outcome <= 2
      and spans @> sent_at and (holes @> sent_at) is not true
      and (channel_id, kind) in (
          select channel_id, kind from message_kind union all select channel_id, kind from rare_kind
      )
      and (channel_id, message_id) not in (select channel_id, message_id from left_out_message)
    group by channel_id, receiver_id, outcome, reason
    union all
    select channel_id, receiver_id, 'not_sent', reason, count(*)
    from unsent_message
    join member using (channel_id)
    where spans @> sent_at and (holes @> sent_at) is not true
      and (channel_id, message_id, receiver_id) not in (select channel_id, message_id, receiver_id from unsent_author)
    group by channel_id, receiver_id, reason
    union all
    select channel_id, receiver_id, 'not_arrived', '', sum(missing - unreadable - dropped - not_sent)::bigint
    from kind_of_membership
    group by channel_id, receiver_id
    having sum(missing - unreadable - dropped - not_sent) > 0
),

-- include: {end}
