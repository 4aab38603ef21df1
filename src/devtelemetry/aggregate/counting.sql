-- Which receivers count in a window, and in which spans of sentAt each is expected to hold messages. A part of
-- statements that have receiver_of_window: of each (channel, receiver) whether it holds or sent a measured message, and
-- its first and last receipt in the window.
--
-- in   start_ms, end_ms, membership, and those of spans.sql: as in reliability.sql

reporting as (
    select receiver_id
    from receiver
    where last_receipt_minute >= $end_ms::bigint or last_heartbeat_minute >= $end_ms::bigint
),

-- include: spans.sql

-- The receivers that count, and in which spans of sentAt each is expected to hold messages: who ever said something of
-- joining or leaving in its stays (NULL: in the whole window), the others from_sent_at to to_sent_at (NULL: no bound in
-- the window). A first or last receipt that lies in the window is the first or last one in it.
counting as (
    select
        channel_id,
        receiver_id,
        case when $membership::text = 'present' and not m.has_said and m.first_sent_at >= $start_ms::bigint
             then r.first_sent_at end as from_sent_at,
        case when $membership::text = 'present' and not m.has_said and m.last_sent_minute < $end_ms::bigint
             then r.last_sent_at end as to_sent_at,
        part_stay.stays
    from receiver_of_window r
    full join (
        select *
        from membership
        where has_said
           or ($membership::text <> 'window' and first_sent_at < $end_ms::bigint and last_sent_minute >= $start_ms::bigint)
    ) m using (channel_id, receiver_id)
    left join stay_of_receiver s using (channel_id, receiver_id)
    left join part_stay using (channel_id, receiver_id)
    where receiver_id in (select receiver_id from reporting)
      and case $membership::text
          when 'present' then m.channel_id is not null and (s.channel_id is not null or not m.has_said)
          when 'bracketed'
          then case when m.has_said then s.is_whole
               else m.first_sent_at < $start_ms::bigint and m.last_sent_minute >= $end_ms::bigint end
          when 'window' then r.has_measured and (s.channel_id is not null or m.has_said is not true)
      end
),
