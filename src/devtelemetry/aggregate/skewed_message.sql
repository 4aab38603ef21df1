    -- The messages of the window whose author's clock is off by a second or more, and by how much.
    select channel_id, message_id, sent_at, min(received_at) - sent_at as clock_offset
    from receipt
    where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint
      and sent_by_receiver and abs(received_at - sent_at) >= 1000
    group by channel_id, message_id, sent_at
