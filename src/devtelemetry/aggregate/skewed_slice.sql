    -- One of the {of} slices of time that skewed.sql reads.
    select channel_id, receiver_id, kind, delay, corrected_delay, count(*) as n
    from (
        select
            channel_id,
            receiver_id,
            kind,
            sent_at,
            delay,
            receipt_delay(sent_at + clock_offset, received_at, created_at) as corrected_delay
        from (
            select *
            from skewed_message
            where sent_at >= $start_ms::bigint + ($end_ms::bigint - $start_ms::bigint) * {slice} / {of}
              and sent_at < $start_ms::bigint + ($end_ms::bigint - $start_ms::bigint) * ({slice} + 1) / {of}
        ) skewed_message_of_slice
        join (  -- in one scan of the key's index, not one a message
            select *
            from receipt
            where not sent_by_receiver
              and sent_at >= $start_ms::bigint + ($end_ms::bigint - $start_ms::bigint) * {slice} / {of}
              and sent_at < $start_ms::bigint + ($end_ms::bigint - $start_ms::bigint) * ({slice} + 1) / {of}
              and sent_at = any (array(
                  select sent_at
                  from skewed_message
                  where sent_at >= $start_ms::bigint + ($end_ms::bigint - $start_ms::bigint) * {slice} / {of}
                    and sent_at < $start_ms::bigint + ($end_ms::bigint - $start_ms::bigint) * ({slice} + 1) / {of}
              ))
        ) receipt_of_slice using (channel_id, message_id, sent_at)
    ) corrected
    left join said_stay using (channel_id, receiver_id)
    left join hole_of_receiver using (receiver_id)
    where delay <> corrected_delay
      and not (coalesce(sent_at < joined_at, false) or coalesce(sent_at > left_at, false)
               or coalesce(holes @> sent_at, false))
    group by channel_id, receiver_id, kind, delay, corrected_delay
