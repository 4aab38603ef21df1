-- Why pairs are missing, by group. A part of rollup.sql; reads reason_of_membership and shown.

reason_of_receiver as (
    select
        *,
        count(*) over (partition by group_id, class, reason) as receivers,
        sum(pairs) over (partition by group_id, class, reason) as of_all
    from (
        select group_id, receiver_id, class, reason, sum(pairs)::bigint as pairs
        from reason_of_membership
        join shown using (channel_id)
        where dimension = ''
        group by group_id, receiver_id, class, reason
    ) receiver
),

-- The reasons of each group, the most frequent first. Reasons that concern few receivers, or are rarer than the
-- most_reasons most frequent ones, are put together. If these concern too few receivers, further reasons join them,
-- beginning with the one that concerns the fewest. before: how many receivers the reasons before it in that order
-- concern.
reason_of_group as (
    select
        group_id,
        jsonb_agg(
            jsonb_build_array(class, reason, pairs)
            order by is_rest, pairs desc, class collate "C", reason collate "C"
        ) as reasons
    from (
        select
            group_id,
            is_rest,
            case when not is_rest then class end as class,
            case when not is_rest then reason end as reason,
            sum(pairs)::bigint as pairs
        from (
            select
                *,
                is_hidden or (before > 0 and before < $smallest_group::integer) as is_rest
            from (
                select
                    *,
                    coalesce(sum(first_met) over (
                        partition by group_id
                        order by is_hidden desc, receivers, class collate "C" desc, reason collate "C" desc
                        rows between unbounded preceding and 1 preceding
                    ), 0) as before
                from (
                    select
                        group_id, class, reason, is_hidden, receivers, sum(pairs) as pairs,
                        count(*) filter (where is_first) as first_met
                    from (
                        select
                            *,
                            row_number() over (
                                partition by group_id, receiver_id
                                order by is_hidden desc, receivers, class collate "C" desc, reason collate "C" desc
                            ) = 1 as is_first
                        from (
                            select
                                *,
                                receivers < $smallest_group::integer or frequency > $most_reasons::integer as is_hidden
                            from (
                                select
                                    group_id,
                                    class,
                                    reason,
                                    receivers,
                                    dense_rank() over (
                                        partition by group_id
                                        order by of_all desc, class collate "C", reason collate "C"
                                    ) as frequency,
                                    receiver_id,
                                    pairs
                                from reason_of_receiver
                            ) ranked
                        ) hidden
                    ) met
                    group by group_id, class, reason, is_hidden, receivers
                ) sized
            ) summed
        ) shown_reason
        group by group_id, is_rest, case when not is_rest then class end, case when not is_rest then reason end
    ) listed
    group by group_id
),
