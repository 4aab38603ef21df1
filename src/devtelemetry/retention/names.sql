-- Dropping names that nobody needs any more: names.py.

-- name: mark_shared
-- Channels that two installations named. That outlives what is known of them.
update channel c
set is_shared = true
where not is_shared and 1 < (
    select count(distinct coalesce(v.installation_id, v.receiver_id))
    from membership m
    join receiver v using (receiver_id)
    where m.channel_id = c.channel_id
)

-- name: channels_to_drop
-- Channels without samples that no receiver is known in, unless they have figures and two installations ever named them;
-- and those that one installation alone ever named, not since before_ms.
select channel_id
from channel c
where not exists (select from message m where m.channel_id = c.channel_id)
  and case
      when is_shared then
          not exists (select from membership m where m.channel_id = c.channel_id)
          and not exists (select from reliability_channel r where r.channel_id = c.channel_id)
      else
          not exists (
              select from membership m
              where m.channel_id = c.channel_id and m.last_sent_minute >= $before_ms::bigint
          )
          and not exists (
              select from membership_report s
              where s.channel_id = c.channel_id and s.created_at >= $before_ms::bigint
          )
  end

-- name: drop_channels
with memberships as (
    delete from membership where channel_id = any ($channel_ids::bigint[])
),
reports as (
    delete from membership_report where channel_id = any ($channel_ids::bigint[])
),
groups as (
    delete from reliability_group g
    using reliability_channel r
    where r.channel_id = any ($channel_ids::bigint[])
      and (g.timeframe, g.window_start, g.membership, g.channel_id)
        = (r.timeframe, r.window_start, r.membership, r.channel_id)
),
figures as (
    delete from reliability_channel where channel_id = any ($channel_ids::bigint[])
)
delete from channel where channel_id = any ($channel_ids::bigint[])

-- name: drop_types
-- Which types receivers named, as far as that was noted before before_ms: ingest notes again what still comes. And types
-- that no receiver named and no sample has.
with noted as (
    delete from receiver_kind where named_at < $before_ms::bigint
)
delete from sample_kind k
where not exists (
        select from receiver_kind n where n.kind = k.kind and n.named_at >= $before_ms::bigint
    )
  and k.kind not in (select kind from message)

-- name: drop_numbers
-- Numbers of installations of which no receiver is known: all that they sent was rejected.
delete from report_run r
where not exists (select from receiver v where v.installation_id = r.installation_id)
  and not exists (
      select from report_run k
      where k.installation_id = r.installation_id and k.last_sent_at is not null
  )
  and not exists (select from lost_report l where l.installation_id = r.installation_id)
