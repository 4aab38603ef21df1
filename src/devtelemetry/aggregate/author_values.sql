-- Which values of the dimensions of authors are shown, and which are put together. A part of rollup.sql; value_of_level
-- reads it.

-- The receivers and the authors that each value concerns.
concerned as materialized (
    select false as is_window, channel_id as level, dimension, value, false as is_author, receiver_id as installation
    from (select distinct channel_id, dimension, value, class from value_of_cell) of_class
    join member using (channel_id, class)
    union all
    select false, channel_id, dimension, value, true, author_id from value_of_author
    union all
    select distinct true, 0, dimension, value, false, receiver_id
    from (select distinct channel_id, dimension, value, class from value_of_cell) of_class
    join member using (channel_id, class)
    join channel_total using (channel_id)
    where takes_part
    union all
    select distinct true, 0, dimension, value, true, author_id
    from value_of_author
    join channel_total using (channel_id)
    where takes_part
),

-- A value needs enough receivers and enough authors to be shown. It needs no authors if some of its messages have no
-- known author (unsaid), because nothing is told about those authors.
size_of_author_value as materialized (
    select
        *,
        receivers < $smallest_group::integer
        or (unsaid = 0 and authors < $smallest_group::integer)
        or row_number() over (
            partition by is_window, level, dimension order by receivers desc, value collate "C"
        ) > $most_values::integer as is_hidden
    from (
        select
            is_window,
            level,
            dimension,
            value,
            count(*) filter (where not is_author) as receivers,
            count(installation) filter (where is_author) as authors,
            count(*) filter (where installation is null) as unsaid
        from concerned
        group by is_window, level, dimension, value
    ) counted
),

-- Values that are too small are put together. The next larger values join them until the group is large enough.
-- *_before: the sums over the values that come before in that order.
value_of_author_level as (
    select is_window, level, dimension, value, false as is_rest
    from size_of_author_value
    where (is_window, level, dimension) not in (
        select is_window, level, dimension from size_of_author_value where is_hidden
    )
    union all
    select
        is_window,
        level,
        dimension,
        value,
        is_hidden or (
            hidden_before
            and (
                receivers_before < $smallest_group::integer
                or (unsaid_before = 0 and authors_before < $smallest_group::integer)
            )
        ) as is_rest
    from (
        select
            *,
            coalesce(bool_or(is_hidden) over lesser, false) as hidden_before,
            coalesce(sum(receivers_met) over lesser, 0) as receivers_before,
            coalesce(sum(authors_met) over lesser, 0) as authors_before,
            coalesce(sum(unsaid) over lesser, 0) as unsaid_before
        from (
            select
                is_window,
                level,
                dimension,
                value,
                is_hidden,
                receivers,
                unsaid,
                count(*) filter (where is_first and not is_author) as receivers_met,
                count(installation) filter (where is_first and is_author) as authors_met
            from (
                select
                    *,
                    row_number() over (
                        partition by is_window, level, dimension, is_author, installation
                        order by is_hidden desc, receivers, value collate "C" desc
                    ) = 1 as is_first
                from concerned
                join size_of_author_value using (is_window, level, dimension, value)
                where (is_window, level, dimension) in (
                    select is_window, level, dimension from size_of_author_value where is_hidden
                )
            ) met
            group by is_window, level, dimension, value, is_hidden, receivers, unsaid
        ) summed
        window lesser as (
            partition by is_window, level, dimension order by is_hidden desc, receivers, value collate "C" desc
            rows between unbounded preceding and 1 preceding
        )
    ) ordered
),
