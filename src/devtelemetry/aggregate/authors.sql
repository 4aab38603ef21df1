-- What became of messages, by author: (message, receiver) pairs added up over the messages of one author and over
-- receivers that are alike. A part of reliability.sql. Source: docs/algorithm.md, "Authors and paths".
--
-- in   {cell_kind}      kind if kinds are told apart, otherwise 0
--      {tells_authors}  whether authors are told apart; if not, receivers are the clusters
--      {cluster}        the cluster of messages without a known author: null, or receiver_id if receivers are the
--                       clusters
--      {author_values}  rows of (dimension, value): what a cell counts for
--      {outcomes}       what states mean: dimensions.py
--      {told_kind}, {rare_kinds}   the kind that a receipt counts for

-- The author of each message of M that has a known author. If there are several, it is the one that said so first.
several_author as materialized (
    select channel_id, {cell_kind} as kind, message_id, sent_at, author_id
    from measured
    cross join lateral unnest(several_id, several_sent_at) as several (message_id, sent_at)
    cross join lateral (
        select receiver_id as author_id
        from receipt r
        where r.sent_at = several.sent_at and r.channel_id = measured.channel_id and r.message_id = several.message_id
          and sent_by_receiver
        order by coalesce({authored_at}, 9223372036854775807), receiver_id  -- null as never, which some rows store
        limit 1
    ) first_author
    where {tells_authors} and (channel_id, message_id) not in (select channel_id, message_id from left_out_message)
),

author_message as materialized (
    select channel_id, {cell_kind} as kind, message_id, sent_at, author_id
    from measured
    cross join lateral unnest(authored_id, authored_sent_at, authored_by) as authored (message_id, sent_at, author_id)
    where {tells_authors} and (channel_id, message_id) not in (select channel_id, message_id from left_out_message)
    union all
    select channel_id, kind, message_id, sent_at, author_id from several_author
),

-- Receivers that wrote a message as well but are not its author. They are not expected to receive it either.
co_author as materialized (
    select channel_id, a.kind, author_id, receiver_id, a.sent_at, message_id
    from several_author a
    cross join lateral (
        select receiver_id
        from receipt r
        where r.sent_at = a.sent_at and r.channel_id = a.channel_id and r.message_id = a.message_id
          and sent_by_receiver
        offset 0  -- by the key
    ) author
    where receiver_id <> author_id
),

-- The messages of each author, and those of them that were not sent.
author_kind as materialized (
    select
        channel_id,
        a.kind,
        author_id,
        array_agg(a.sent_at order by a.sent_at) as timeline,
        coalesce(array_agg(a.sent_at) filter (where u.message_id is not null), '{}') as unsent
    from author_message a
    left join unsent_message u using (channel_id, message_id)
    group by channel_id, a.kind, author_id
),

class_of_channel as materialized (
    select channel_id, class, platform, app_version, server, count(*) as members, count(*) filter (where is_whole) as whole
    from member
    group by channel_id, class, platform, app_version, server
),

-- For receivers that are expected to hold only part of the window: where their spans begin and end, and the holes in
-- these spans, ascending. A binary search in these counts the spans around a moment. So the cost does not grow with
-- authors times receivers.
limited_class as materialized (
    select
        channel_id,
        class,
        array_agg(begins order by begins) filter (where not is_hole) as begins,
        array_agg(ends order by ends) filter (where not is_hole) as ends,
        coalesce(array_agg(begins order by begins) filter (where is_hole), '{}') as hole_begins,
        coalesce(array_agg(ends order by ends) filter (where is_hole), '{}') as hole_ends
    from (
        select
            channel_id,
            class,
            is_hole,
            coalesce(lower(span), '-9223372036854775808'::bigint) as begins,
            coalesce(upper(span), 9223372036854775807) as ends
        from (
            select channel_id, class, false as is_hole, unnest(spans) as span from member where not is_whole
            union all
            select channel_id, class, true, unnest(holes * spans) from member where holes is not null
        ) part
    ) bounds
    group by channel_id, class
),

-- What is expected of receivers that are alike, by author. Receivers without a limit: all messages, ...
authored_pairs as (
    select
        channel_id,
        kind,
        author_id,
        class,
        sum(pairs)::bigint as pairs,
        sum(unknown)::bigint as unknown,
        sum(not_sent)::bigint as not_sent,
        sum(uncorroborated)::bigint as uncorroborated
    from (
        select
            c.channel_id,
            kind,
            author_id,
            c.class,
            cardinality(timeline) * others as pairs,
            0 as unknown,
            cardinality(unsent) * others as not_sent,
            0 as uncorroborated
        from author_kind
        join class_of_channel c using (channel_id)
        left join member own on own.channel_id = author_kind.channel_id and own.receiver_id = author_id
        cross join lateral (
            select whole - case when own.class = c.class and own.is_whole then 1 else 0 end as others
        ) o
        union all
        -- ... the other receivers: the messages inside their spans, ...
        select
            channel_id,
            kind,
            author_id,
            class,
            (
                select coalesce(sum(width_bucket(t, begins) - width_bucket(t, ends)), 0)
                from unnest(timeline) as t
            ),
            case when hole_begins = '{}' then 0 else (
                select coalesce(sum(width_bucket(t, hole_begins) - width_bucket(t, hole_ends)), 0)
                from unnest(timeline) as t
            ) end,
            (
                select coalesce(sum(
                    width_bucket(t, begins) - width_bucket(t, ends)
                    - width_bucket(t, hole_begins) + width_bucket(t, hole_ends)
                ), 0)
                from unnest(unsent) as t
            ),
            0
        from author_kind
        join limited_class using (channel_id)
        union all
        -- ... less the author's own messages inside its own spans, ...
        select
            channel_id,
            kind,
            author_id,
            class,
            -(select count(*) from unnest(timeline) as t where spans @> t),
            -(select count(*) from unnest(timeline) as t where spans @> t and holes @> t),
            -(select count(*) from unnest(unsent) as t where spans @> t and (holes @> t) is not true),
            0
        from author_kind
        join member using (channel_id)
        where not is_whole and receiver_id = author_id
        union all
        -- ... less the pairs of a message and another of its authors.
        select
            channel_id,
            co_author.kind,
            author_id,
            class,
            -1,
            case when holes @> co_author.sent_at then -1 else 0 end,
            case when unsent_message.message_id is not null and (holes @> co_author.sent_at) is not true then -1 else 0 end,
            0
        from co_author
        join member using (channel_id, receiver_id)
        left join unsent_message using (channel_id, message_id)
        where spans @> co_author.sent_at
        union all
        -- The author vouches for a message, but not toward receivers of its own installation: such pairs are not
        -- corroborated.
        select channel_id, a.kind, author_id, class, 0, 0, 0, 1
        from lone_pair l
        join author_message a using (channel_id, message_id)
        join member using (channel_id, receiver_id)
        where spans @> l.sent_at and (holes @> l.sent_at) is not true
    ) part
    group by channel_id, kind, author_id, class
),

-- Pairs by the state of their receipt. Few messages have several authors, so these are read by the key.
authored_state as materialized (
    select channel_id, {told_kind} as kind, author_id, class, state, n
    from authored
    {rare_kinds}
    union all
    select channel_id, a.kind, author_id, class, state, count(*)
    from several_author a
    cross join lateral (
        select receiver_id, state
        from receipt r
        where r.sent_at = a.sent_at and r.channel_id = a.channel_id and r.message_id = a.message_id and not sent_by_receiver
        offset 0  -- by the key
    ) r
    join member using (channel_id, receiver_id)
    where spans @> a.sent_at and (holes @> a.sent_at) is not true
    group by channel_id, a.kind, author_id, class, state
),

authored_outcome as (
    select channel_id, kind, author_id, class, {outcomes}
    from authored_state
    group by channel_id, kind, author_id, class
),

authored_cell as materialized (
    select
        channel_id,
        kind,
        author_id,
        class,
        pairs - unknown as expected,
        pairs - unknown - coalesce(held, 0) as missing,
        pairs - unknown - uncorroborated as corroborated,
        unknown,
        coalesce(unreadable, 0) as unreadable,
        coalesce(dropped, 0) as dropped,
        not_sent,
        coalesce(recovered, 0) as recovered,
        coalesce(by_live, 0) as by_live,
        coalesce(by_history, 0) as by_history,
        coalesce(by_resend, 0) as by_resend
    from authored_pairs
    left join authored_outcome using (channel_id, kind, author_id, class)
),

-- How many messages each author wrote. NULL: the messages without a known author.
message_of_author as materialized (
    select channel_id, kind, author_id, cardinality(timeline) as messages from author_kind
    union all
    select channel_id, kind, null, (sum(messages) - coalesce(sum(authored), 0))::bigint
    from (
        select channel_id, {cell_kind} as kind, sum(cardinality(timeline)) as messages
        from message_kind
        group by channel_id, {cell_kind}
    ) sent
    left join (
        select channel_id, kind, sum(cardinality(timeline)) as authored from author_kind group by channel_id, kind
    ) authored using (channel_id, kind)
    group by channel_id, kind
    having sum(messages) > coalesce(sum(authored), 0)
),

unsaid as materialized (
    select channel_id, kind from message_of_author where author_id is null
),

-- Pairs of messages without a known author are the pairs of all messages less those of known authors.
cell as materialized (
    select channel_id, kind, author_id, class, {pairs} from authored_cell
    union all
    select channel_id, kind, cluster, class, {summed_pairs}
    from (
        select channel_id, {cell_kind} as kind, {cluster} as cluster, class, {pairs}
        from kind_of_membership
        join member using (channel_id, receiver_id)
        union all
        select channel_id, kind, null, class, {negative_pairs} from authored_cell
    ) difference
    where (channel_id, kind) in (select channel_id, kind from unsaid)
    group by channel_id, kind, cluster, class
),

cell_delay as (
    select channel_id, kind, author_id, class, state & 31 as delay, sum(n) as n
    from authored_state
    where state < 2048
    group by channel_id, kind, author_id, class, state & 31
    union all
    select channel_id, kind, null, class, delay, sum(n)
    from (
        select channel_id, {cell_kind} as kind, class, state & 31 as delay, n
        from state_of_pair
        join member using (channel_id, receiver_id)
        where state < 2048 and (channel_id, kind) in (select channel_id, kind from message_kind)
        union all
        select channel_id, kind, class, state & 31, -n from authored_state where state < 2048
    ) difference
    where (channel_id, kind) in (select channel_id, kind from unsaid)
    group by channel_id, kind, class, delay
),

-- What each cell counts for.
value_of_cell as materialized (
    select
        channel_id,
        kind,
        author_id,
        case when {tells_authors} then coalesce(author_id, 0) else 0 end as wrote,
        cell.class,
        dimension,
        value,
        {pairs}
    from cell
    join class_of_channel c using (channel_id, class)
    left join receiver author on author.receiver_id = author_id and {tells_authors}
    left join kind_of_channel using (channel_id, kind)
    cross join lateral (values {author_values}) as counted_for (dimension, value)
),

value_of_author as materialized (
    select channel_id, author_id, dimension, value, {summed_pairs}
    from value_of_cell
    group by channel_id, author_id, dimension, value
),
