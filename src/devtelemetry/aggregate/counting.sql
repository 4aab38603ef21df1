-- Which receivers count in a window, and in which spans of sentAt each is expected to hold messages. A part of
-- statements that have receiver_of_window: of each (channel, receiver) whether it holds or sent a measured message, and
-- its first and last receipt in the window.
--
-- in   $1 window_start, $2 window_end, $3 membership, $8 to $10 holes: as in reliability.sql

reporting as (
    select receiver_id
    from receiver
    where last_receipt_minute >= $2::bigint or last_heartbeat_minute >= $2::bigint
),

-- The receivers that count, and the span of sentAt in which each is expected to hold messages (NULL: no bound in the
-- window). What a receiver says of joining and leaving comes before what it holds: who says that it is still in has no
-- last. A first or last minute that lies in the window is that of a receipt in it, which tells the millisecond.
counting as (
    select
        channel_id,
        receiver_id,
        case
            when m.joined_at is not null then nullif(greatest(m.joined_at, $1::bigint), $1::bigint)
            when $3::text = 'present' and m.first_sent_minute >= $1::bigint then r.first_sent_at
        end as from_sent_at,
        case
            when m.left_at is not null then nullif(least(m.left_at, $2::bigint - 1), $2::bigint - 1)
            when $3::text = 'present' and m.left_said_at is null and m.last_sent_minute < $2::bigint
            then r.last_sent_at
        end as to_sent_at
    from receiver_of_window r
    full join (
        select
            *,
            coalesce(joined_at, first_sent_minute) as first_at,
            case when left_said_at is null then last_sent_minute else coalesce(left_at, $2::bigint) end as last_at
        from membership
        where case $3::text
            when 'window' then joined_at is not null or left_at is not null
            else coalesce(joined_at, first_sent_minute) < $2::bigint
                and case when left_said_at is null then last_sent_minute else coalesce(left_at, $2::bigint) end
                    >= $1::bigint
        end
    ) m using (channel_id, receiver_id)
    where receiver_id in (select receiver_id from reporting)
      and case $3::text
          when 'present' then m.channel_id is not null
          when 'bracketed' then m.first_at < $1::bigint and m.last_at >= $2::bigint
          when 'window'
          then r.has_measured and coalesce(m.joined_at < $2::bigint, true) and coalesce(m.left_at >= $1::bigint, true)
      end
),

-- include: spans.sql receivers=8 after=9 before=10
