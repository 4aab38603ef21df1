-- Which receivers count in a window, and in which spans of sentAt each is expected to hold messages. A part of
-- statements that have receiver_of_window: of each (channel, receiver) whether it holds or sent a measured message, and
-- its first and last receipt in the window.
--
-- in   start_ms, end_ms, membership, hole_receivers, hole_after, hole_before: as in reliability.sql

reporting as (
    select receiver_id
    from receiver
    where last_receipt_minute >= $end_ms::bigint or last_heartbeat_minute >= $end_ms::bigint
),

-- The receivers that count, and the span of sentAt in which each is expected to hold messages (NULL: no bound in the
-- window). What a receiver says of joining and leaving comes before what it holds: who says that it is still in has no
-- last. A first or last minute that lies in the window is that of a receipt in it, which tells the millisecond.
counting as (
    select
        channel_id,
        receiver_id,
        case
            when m.joined_at is not null then nullif(greatest(m.joined_at, $start_ms::bigint), $start_ms::bigint)
            when $membership::text = 'present' and m.first_sent_minute >= $start_ms::bigint then r.first_sent_at
        end as from_sent_at,
        case
            when m.left_at is not null then nullif(least(m.left_at, $end_ms::bigint - 1), $end_ms::bigint - 1)
            when $membership::text = 'present' and m.left_said_at is null and m.last_sent_minute < $end_ms::bigint
            then r.last_sent_at
        end as to_sent_at
    from receiver_of_window r
    full join (
        select
            *,
            coalesce(joined_at, first_sent_minute) as first_at,
            case when left_said_at is null then last_sent_minute else coalesce(left_at, $end_ms::bigint) end as last_at
        from membership
        where case $membership::text
            when 'window' then joined_at is not null or left_at is not null
            else coalesce(joined_at, first_sent_minute) < $end_ms::bigint
                and case when left_said_at is null then last_sent_minute else coalesce(left_at, $end_ms::bigint) end
                    >= $start_ms::bigint
        end
    ) m using (channel_id, receiver_id)
    where receiver_id in (select receiver_id from reporting)
      and case $membership::text
          when 'present' then m.channel_id is not null
          when 'bracketed' then m.first_at < $start_ms::bigint and m.last_at >= $end_ms::bigint
          when 'window'
          then r.has_measured
              and coalesce(m.joined_at < $end_ms::bigint, true)
              and coalesce(m.left_at >= $start_ms::bigint, true)
      end
),

-- include: spans.sql
