-- One of the {of} slices of time that kind_of_window.sql reads.
    select
        {slice} as slice,
        channel_id,
        kind,
        array_agg(sent_at order by sent_at) as timeline,
        array_agg(voucher) filter (where vouchers = 1) as lone_voucher,
        array_agg(sent_at) filter (where vouchers = 1) as lone_sent_at,
        array_agg(authors = 1) filter (where vouchers = 1) as lone_is_sent,
        array_agg(message_id) filter (where vouchers = 1) as lone_id,
        array_agg(message_id) filter (where is_doubtful) as doubtful_id,
        array_agg(sent_at) filter (where is_doubtful) as doubtful_sent_at,
        array_agg(message_id) filter (where is_suspect) as suspect_id,
        array_agg(sent_at) filter (where is_suspect) as suspect_sent_at,
        sum(holders) as captures,
        count(*) filter (where holders = 2) as captured_twice,
        array_agg(first_holder) filter (where holders = 1) as capturers,
        array_agg(message_id) filter (where vouchers = authors and of_authors & 1536 <> 0) as unsent_id,
        array_agg(sent_at) filter (where vouchers = authors and of_authors & 1536 <> 0) as unsent_sent_at,
        array_agg(message_id) filter (where authors = 1) as authored_id,
        array_agg(sent_at) filter (where authors = 1) as authored_sent_at,
        array_agg(author) filter (where authors = 1) as authored_by,
        array_agg(message_id) filter (where authors > 1) as several_id,
        array_agg(sent_at) filter (where authors > 1) as several_sent_at
    from (
        select
            message_of_slice.*,
            voters < $quorum::integer as is_doubtful,
            vouchers > 1 and {is_suspect} as is_suspect
        from (
            -- What was sent, how many receivers vouch for each message, and how many hold it and did not write it. All
            -- receipts of a message have the same kind and sentAt.
            select
                channel_id,
                message_id,
                min(kind) as kind,
                sent_at,
                count(*) as vouchers,
                {voters} as voters,
                count(*) filter (where sent_by_receiver) as authors,
                min(receiver_id) filter (where sent_by_receiver) as author,
                bit_or(state) filter (where sent_by_receiver) as of_authors,
                min(receiver_id) as voucher,
                max(receiver_id) as last_voucher,
                count(*) filter (where not sent_by_receiver and state < 2048) as holders,
                min(receiver_id) filter (where not sent_by_receiver and state < 2048) as first_holder
            from {receipts}
            where sent_at >= $start_ms::bigint + ($end_ms::bigint - $start_ms::bigint) * {slice} / {of}
              and sent_at < $start_ms::bigint + ($end_ms::bigint - $start_ms::bigint) * ({slice} + 1) / {of}
            group by sent_at, channel_id, message_id
        ) message_of_slice
        {with_vouchers}
        where
        -- include: is_measured.sql
    ) message
    group by channel_id, kind
