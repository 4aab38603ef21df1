-- Which receivers count in a window, and in which spans of sentAt each is expected to hold messages. A part of
-- statements that have receiver_of_window. It has, for each (channel, receiver), whether the receiver holds or sent a
-- measured message, and its first and last receipt in the window.
--
-- in   start_ms, end_ms, membership, fewest_installations, and those of spans.sql: as in counted.sql
--      coarse_channels, coarse_receivers   receivers that recorded a coarser sample than the window's in a channel

reporting as (
    select receiver_id
    from receiver
    where last_receipt_minute >= $end_ms::bigint or last_heartbeat_minute >= $end_ms::bigint
),

-- include: spans.sql

-- The receivers that may count, and the spans of sentAt in which each is expected to hold messages. A receiver that
-- ever reported joining or leaving (has_said) is expected to hold what was sent during its stays (NULL: the whole
-- window). Other receivers are expected to hold messages from from_sent_at to to_sent_at (NULL: no bound in the
-- window). If its first or last receipt of all lies in the window, receiver_of_window has that receipt, to the
-- millisecond. holds_nothing: the receiver never had a sample of the channel.
candidate as materialized (
    select
        channel_id,
        receiver_id,
        case when $membership::text = 'present' and not m.has_said and m.first_sent_at >= $start_ms::bigint
             then r.first_sent_at end as from_sent_at,
        case when $membership::text = 'present' and not m.has_said and m.last_sent_minute < $end_ms::bigint
             then r.last_sent_at end as to_sent_at,
        part_stay.stays,
        coalesce(m.has_said and m.first_sent_at is null, false) as holds_nothing
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
      and (channel_id, receiver_id) not in (
          select * from unnest($coarse_channels::bigint[], $coarse_receivers::bigint[])
      )
      and case
          when $membership::text = 'present' then m.channel_id is not null and (s.channel_id is not null or not m.has_said)
          when $membership::text = 'bracketed'
          then case when m.has_said then s.is_whole
               else m.first_sent_at < $start_ms::bigint and m.last_sent_minute >= $end_ms::bigint end
          when $membership::text = 'window' then r.has_measured and (s.channel_id is not null or m.has_said is not true)
      end
),

-- Members of installations that nobody ever confirmed. Also members that never had a sample of the channel: an
-- installation may have one of these, and none if another of its members had a sample.
unheard as materialized (
    select channel_id, receiver_id
    from (
        select
            channel_id,
            receiver_id,
            coalesce(installation_id, receiver_id) as installation_id,
            holds_nothing and row_number() over (
                partition by channel_id, coalesce(installation_id, receiver_id) order by holds_nothing, receiver_id
            ) > 1 as is_another
        from candidate
        join receiver using (receiver_id)
    ) told
    where is_another or installation_id not in (select installation_id from corroborated_installation)
),

-- If enough other installations count in the channel, these members do not count and are shown apart, because anyone
-- can make up such members.
silent_member as materialized (
    select channel_id, receiver_id
    from unheard
    where channel_id in (
        select channel_id
        from candidate
        join receiver using (receiver_id)
        where channel_id in (select channel_id from unheard)
          and (channel_id, receiver_id) not in (select channel_id, receiver_id from unheard)
        group by channel_id
        having count(distinct coalesce(installation_id, receiver_id)) >= $fewest_installations::integer
    )
),

counting as (
    select channel_id, receiver_id, from_sent_at, to_sent_at, stays
    from candidate
    where (channel_id, receiver_id) not in (select channel_id, receiver_id from silent_member)
),
