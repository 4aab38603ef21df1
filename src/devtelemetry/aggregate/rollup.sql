-- Makes the figures of channels, of the window and of their groups from what was expected of each receiver
-- (kind_of_membership has one row for each channel, receiver and kind; state_of_pair; reason_of_membership). The end of
-- reliability.sql's statement. There are few rows from here on.
--
-- A receiver in a channel is a membership. There are two levels: each channel, and the window (is_window; level 0),
-- which is made of the channels that take part in it. A level has groups by each dimension; the dimension '' is the
-- whole level. In dimensions of authors an author takes the place of the receiver; NULL is all authors that do not
-- report. The columns in braces are those of results/columns.py.
--
-- out  one row for each group of a level: is_window, channel_id (the level), dimension, is_rest (small groups, put
--      together; their value is ''), value; the counts; over_memberships; delays and delay_counts: the class of a delay
--      (16 and more: of a report), and how many delivered pairs have it (NULL: none).
--      Groups of the window have over_channels and over_receivers, and a channel has its captures. Dimension '' also
--      has median, trimmed, influence and reasons, and for a channel unconfirmed and silent_members. Otherwise these
--      are NULL.

counted_membership as materialized (
    select
        channel_id,
        receiver_id,
        platform,
        app_version,
        {summed_pairs}
    from kind_of_membership
    group by channel_id, receiver_id, platform, app_version
),

channel_total as materialized (
    select
        channel_id,
        messages,
        receivers,
        expected,
        missing,
        receivers >= 2 and expected > 0 as is_comparable,
        receivers >= 2 and expected > 0 and external_id not like $audit_channels::text as takes_part
    from (
        select
            channel_id, count(*) as receivers, sum(expected)::bigint as expected, sum(missing)::bigint as missing
        from counted_membership
        group by channel_id
    ) counted
    join (
        select channel_id, sum(cardinality(timeline))::bigint as messages from message_kind group by channel_id
    ) sent using (channel_id)
    join channel using (channel_id)
),

-- A receiver has one platform and one version, and messages of several types.
value_of_membership as materialized (
    select channel_id, receiver_id, '' as dimension, '' as value, {pairs} from counted_membership
    union all
    select channel_id, receiver_id, 'platform', platform, {pairs} from counted_membership
    union all
    select channel_id, receiver_id, 'app_version', app_version, {pairs} from counted_membership
    union all
    select channel_id, receiver_id, 'message_type', message_type, {summed_pairs}
    from kind_of_membership
    group by channel_id, receiver_id, message_type
),

-- include: author_values.sql

-- Values that too few receivers have are put together, and so are values beyond the most frequent ones. If these
-- together have too few receivers, the value with the next fewest receivers joins them. before: how many receivers the
-- values with fewer receivers have. after: how many values have more receivers. A receiver with several types counts at
-- the first of them. In a channel, each type has all receivers that count there.
value_of_level as materialized (
    select
        is_window,
        level,
        dimension,
        value,
        dimension <> ''
        and (
            receivers < $smallest_group::integer
            or (before > 0 and before < $smallest_group::integer)
            or after >= $most_values::integer
        ) as is_rest
    from (
        select
            *,
            coalesce(sum(first_met) over (
                partition by is_window, level, dimension order by receivers, value collate "C" desc
                rows between unbounded preceding and 1 preceding
            ), 0) as before,
            count(*) over (
                partition by is_window, level, dimension order by receivers, value collate "C" desc
                rows between 1 following and unbounded following
            ) as after
        from (
            select
                false as is_window,
                channel_id as level,
                dimension,
                value,
                count(*) as receivers,
                count(*) as first_met
            from value_of_membership
            group by channel_id, dimension, value
            union all
            select true, 0, dimension, value, count(distinct receiver_id), count(distinct receiver_id)
            from value_of_membership
            join channel_total using (channel_id)
            where takes_part and dimension <> 'message_type'
            group by dimension, value
            union all
            select true, 0, 'message_type', value, count(*), count(*) filter (where is_first)
            from (
                select
                    value,
                    row_number() over (partition by receiver_id order by receivers, value collate "C" desc) = 1
                        as is_first
                from (
                    select value, receiver_id, count(*) over (partition by value) as receivers
                    from (
                        select distinct value, receiver_id
                        from value_of_membership
                        join channel_total using (channel_id)
                        where takes_part and dimension = 'message_type'
                    ) receiver_of_value
                ) shared
            ) met
            group by value
        ) sized
    ) summed
    union all
    select is_window, level, dimension, value, is_rest from value_of_author_level
),

-- The groups that each value of a channel belongs to: one in the channel and, if the channel takes part, one in the
-- window.
shown as materialized (
    select
        channel_id,
        is_window,
        level,
        dimension,
        value,
        is_rest,
        dense_rank() over (order by is_window, level, dimension, case when is_rest then null else value end) as group_id
    from (
        select level as channel_id, is_window, level, dimension, value from value_of_level where not is_window
        union all
        select channel_id, true, 0, dimension, value
        from channel_total
        join value_of_level on level = channel_id and not is_window
        where takes_part
    ) value_of_channel
    join value_of_level using (is_window, level, dimension, value)
),

total as materialized (
    select distinct group_id, is_window, level from shown where dimension = ''
),

-- A receiver may have several of the message types that are put together, so these rows are summed.
membership_of_group as materialized (
    select group_id, is_window, dimension, channel_id, receiver_id, {pairs}
    from value_of_membership
    join shown using (channel_id, dimension, value)
    where not is_rest or dimension <> 'message_type'
    union all
    select group_id, is_window, 'message_type', channel_id, receiver_id, {summed_pairs}
    from value_of_membership
    join shown using (channel_id, dimension, value)
    where is_rest and dimension = 'message_type'
    group by group_id, is_window, channel_id, receiver_id
    union all
    select group_id, is_window, dimension, channel_id, author_id, {summed_pairs}
    from value_of_author
    join shown using (channel_id, dimension, value)
    group by group_id, is_window, dimension, channel_id, author_id
),

concern_of_group as (
    select group_id, sum(members)::bigint as concerned
    from (
        select distinct group_id, channel_id, class
        from value_of_cell
        join shown using (channel_id, dimension, value)
    ) of_class
    join class_of_channel using (channel_id, class)
    group by group_id
),

-- The squares for one receiver fit 64 bits, because it has fewer than 3 thousand million messages in a week; sums of
-- them are decimals. The squares for all receivers of a channel may not fit, so over_channels computes with decimals.
count_of_group as (
    select
        group_id,
        count(*) as memberships,
        {summed_pairs},
        array[
            count(*) filter (where corroborated > 0), coalesce(sum(missing * missing) filter (where corroborated > 0), 0),
            sum(missing * corroborated),
            sum(corroborated * corroborated)
        ] as over_memberships
    from membership_of_group
    group by group_id
),

receiver_of_group as materialized (
    select group_id, receiver_id, sum(missing)::bigint as missing, sum(corroborated)::bigint as corroborated
    from membership_of_group
    where is_window
    group by group_id, receiver_id
),

over_receivers_of_group as (
    select
        group_id,
        array[
            count(*) filter (where corroborated > 0), coalesce(sum(missing * missing) filter (where corroborated > 0), 0),
            sum(missing * corroborated),
            sum(corroborated * corroborated)
        ] as over_receivers
    from receiver_of_group
    group by group_id
),

over_channels_of_group as (
    select
        group_id,
        array[
            count(*) filter (where corroborated > 0),
            coalesce(sum(missing::numeric * missing) filter (where corroborated > 0), 0),
            sum(missing::numeric * corroborated),
            sum(corroborated::numeric * corroborated)
        ] as over_channels
    from (
        select group_id, channel_id, sum(missing)::bigint as missing, sum(corroborated)::bigint as corroborated
        from membership_of_group
        where is_window
        group by group_id, channel_id
    ) channel
    group by group_id
),

-- Groups by type or by author have their own messages. Other groups have those of the channels that they are in.
message_of_group as (
    select group_id, sum(messages)::bigint as messages
    from (
        select distinct group_id, channel_id, messages
        from shown
        join channel_total using (channel_id)
        where dimension in ('', 'platform', 'app_version')
        union all
        select group_id, channel_id, messages
        from (
            select distinct group_id, channel_id, kind, wrote
            from value_of_cell
            join shown using (channel_id, dimension, value)
        ) of_author
        join (
            select channel_id, kind, coalesce(author_id, 0) as wrote, messages from message_of_author
        ) sent using (channel_id, kind, wrote)
        union all
        select group_id, channel_id, messages
        from (
            select channel_id, message_type as value, sum(cardinality(timeline)) as messages
            from message_kind
            join kind_of_channel using (channel_id, kind)
            group by channel_id, message_type
        ) of_type
        join shown using (channel_id, value)
        where dimension = 'message_type'
    ) counted
    group by group_id
),

-- Delivered pairs by the class of their delay, first for each combination of platform, version and type, ...
delay_of_description as materialized (
    select channel_id, platform, app_version, message_type, state & 31 as delay, sum(n)::bigint as n
    from state_of_pair
    join kind_of_membership using (channel_id, receiver_id, kind)
    where state < 2048
    group by channel_id, platform, app_version, message_type, state & 31
),

-- ... then for each value.
delay_of_value as (
    select channel_id, '' as dimension, '' as value, delay, sum(n)::bigint as n
    from delay_of_description
    group by channel_id, delay
    union all
    select channel_id, 'platform', platform, delay, sum(n)::bigint
    from delay_of_description
    group by channel_id, platform, delay
    union all
    select channel_id, 'app_version', app_version, delay, sum(n)::bigint
    from delay_of_description
    group by channel_id, app_version, delay
    union all
    select channel_id, 'message_type', message_type, delay, sum(n)::bigint
    from delay_of_description
    group by channel_id, message_type, delay
    union all
    select channel_id, dimension, value, delay, sum(n)::bigint
    from cell_delay
    join (select distinct channel_id, kind, wrote, class, dimension, value from value_of_cell) v
        using (channel_id, kind, class)
    where coalesce(author_id, 0) = wrote
    group by channel_id, dimension, value, delay
    having sum(n) > 0
),

delay_of_group as (
    select group_id, array_agg(delay order by delay) as delays, array_agg(n order by delay) as delay_counts
    from (
        select group_id, delay, sum(n)::bigint as n
        from delay_of_value
        join shown using (channel_id, dimension, value)
        group by group_id, delay
    ) counted
    group by group_id
),

-- The median of the receivers' ratios. trimmed: their mean without a tenth of them at either end.
ratio_of_group as (
    select
        group_id,
        percentile_cont(0.5) within group (order by ratio) as median,
        avg(ratio order by ratio) filter (where rank > receivers / 10 and rank <= receivers - receivers / 10) as trimmed
    from (
        select
            group_id,
            ratio,
            row_number() over (partition by group_id order by ratio) as rank,
            count(*) over (partition by group_id) as receivers
        from (
            select group_id, (corroborated - missing)::double precision / corroborated as ratio
            from (
                select group_id, missing, corroborated from membership_of_group where dimension = '' and not is_window
                union all
                select group_id, missing, corroborated
                from receiver_of_group
                where group_id in (select group_id from total)
            ) receiver
            where corroborated > 0
        ) receiver
    ) ranked
    group by group_id
),

-- The hand that each membership is in: its installation and, in channels with enough networks, also its network.
hand_of_membership as materialized (
    select channel_id, receiver_id, false as is_bucket, installation_id as hand from counted where not is_silent
    union all
    select channel_id, receiver_id, true, bucket_id
    from counted
    where not is_silent and bucket_id is not null and channel_id in (
        select channel_id
        from counted
        where not is_silent
        group by channel_id
        having count(distinct bucket_id) >= $fewest_installations::integer
    )
),

-- How Rch changes if one hand is left out. With it go its own pairs and, for the other receivers, the pairs of messages
-- that it alone vouches for.
moved as materialized (
    select
        channel_id,
        is_bucket,
        hand,
        takes_part,
        missing::double precision / expected
        - (missing - own_missing - vanishing)::double precision / (expected - own_expected - vanishing) as moved_by
    from (
        select
            channel_id,
            is_bucket,
            hand,
            takes_part,
            c.missing,
            c.expected,
            coalesce(p.missing, 0) as own_missing,
            coalesce(p.expected, 0) as own_expected,
            least(coalesce(l.messages, 0) * others, c.missing - coalesce(p.missing, 0)) as vanishing,
            others
        from (
            select
                channel_id,
                is_bucket,
                hand,
                count(*) as receivers,
                sum(missing)::bigint as missing,
                sum(expected)::bigint as expected
            from counted_membership
            join hand_of_membership using (channel_id, receiver_id)
            group by channel_id, is_bucket, hand
        ) p
        full join (
            select channel_id, false as is_bucket, installation_id as hand, count(*) as messages
            from claimed
            where not is_left_out and installation_id is not null
            group by channel_id, installation_id
            union all
            select channel_id, true, bucket_id, count(*)
            from claimed
            where not is_left_out and (channel_id, bucket_id) in (
                select channel_id, hand from hand_of_membership where is_bucket
            )
            group by channel_id, bucket_id
        ) l using (channel_id, is_bucket, hand)
        join channel_total c using (channel_id)
        cross join lateral (
            select c.receivers - coalesce(p.receivers, 0) as others
        ) o
        where is_comparable
    ) part
    where others >= 2 and expected - own_expected - vanishing > 0
),

influence_of_group as (
    select group_id, influence
    from (
        select channel_id as level, false as is_window, max(abs(moved_by)) as influence
        from moved
        group by channel_id
        union all
        select 0, true, max(abs(moved_by)) / (select count(*) from channel_total where takes_part)
        from (
            select sum(moved_by order by channel_id) as moved_by
            from moved
            where takes_part
            group by is_bucket, hand
        ) part
        having count(*) > 0
    ) influence
    join total using (is_window, level)
),

-- What is shown apart: messages that are left out of M, and silent members.
apart_of_group as (
    select group_id, coalesce(unconfirmed, 0) as unconfirmed, coalesce(silent_members, 0) as silent_members
    from total
    left join (
        select channel_id as level, count(*) as unconfirmed from claimed where is_left_out group by channel_id
    ) left_out using (level)
    left join (
        select channel_id as level, count(*) as silent_members from counted where is_silent group by channel_id
    ) silent using (level)
    where not is_window
),

-- include: reasons.sql

capture_of_group as (
    select
        group_id,
        array[captures, captured_once, captured_twice, coalesce(captured_once_squared, 0)::bigint] as captures
    from (
        select
            channel_id,
            sum(captures)::bigint as captures,
            sum(cardinality(capturers))::bigint as captured_once,
            sum(captured_twice)::bigint as captured_twice
        from measured
        group by channel_id
    ) m
    left join (
        select channel_id, sum(messages::numeric * messages) as captured_once_squared
        from (
            select channel_id, receiver_id, count(*) as messages
            from measured
            cross join lateral unnest(capturers) as capturer (receiver_id)
            group by channel_id, receiver_id
        ) capturer
        group by channel_id
    ) squared using (channel_id)
    join total on not is_window and level = channel_id
)

-- Each joined step has one row a group and is joined by its key. So the order of the joins does not matter, nor do the
-- planner's guesses.
select *, coalesce(concerned, memberships) as receivers
from (
    select distinct
        group_id,
        is_window,
        level as channel_id,
        dimension,
        is_rest,
        case when is_rest then '' else value end as value
    from shown
) named
left join count_of_group using (group_id)
left join concern_of_group using (group_id)
left join message_of_group using (group_id)
left join over_channels_of_group using (group_id)
left join over_receivers_of_group using (group_id)
left join delay_of_group using (group_id)
left join capture_of_group using (group_id)
left join ratio_of_group using (group_id)
left join influence_of_group using (group_id)
left join apart_of_group using (group_id)
left join reason_of_group using (group_id)
