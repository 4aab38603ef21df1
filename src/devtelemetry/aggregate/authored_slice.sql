-- One of the {of} slices of time that authored.sql reads.
    select channel_id, kind, author_id, class::integer as class, state, count(*) as n
    from (
        select
            channel_id, {cell_kind} as kind, author_id, sent_at, unnest(receivers) as receiver_id, unnest(states) as state
        from (
            select
                channel_id,
                message_id,
                min(kind) as kind,
                sent_at,
                min(receiver_id) filter (where sent_by_receiver) as author_id,
                array_agg(receiver_id) filter (where not sent_by_receiver) as receivers,
                array_agg(state) filter (where not sent_by_receiver) as states
            from receipt
            where sent_at >= $start_ms::bigint + ($end_ms::bigint - $start_ms::bigint) * {slice} / {of}
              and sent_at < $start_ms::bigint + ($end_ms::bigint - $start_ms::bigint) * ({slice} + 1) / {of}
            group by sent_at, channel_id, message_id
            having count(*) filter (where sent_by_receiver) = 1
        ) message
        where {tells_authors} and
        -- include: is_measured.sql
        and (channel_id, message_id) not in (
            select * from unnest($left_out_channels::bigint[], $left_out_messages::bigint[])
        )
    ) pair
    join unnest(
        $member_channels::text::bigint[], $member_receivers::text::bigint[], $member_classes::text::bigint[],
        $member_begins::text::bigint[], $member_ends::text::bigint[]
    ) as member (channel_id, receiver_id, class, begins, ends) using (channel_id, receiver_id)
    where sent_at >= begins and sent_at < ends
    group by channel_id, kind, author_id, class, state
