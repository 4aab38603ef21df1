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

-- name: without_samples
select channel_id, is_shared
from channel c
where not exists (select 1 from message m where m.channel_id = c.channel_id)

-- name: still_needed
-- Of these channels without samples, which are apart by whether two installations ever named them, those that stay: of the
-- ones that two did whatever a receiver is known in or has figures; of the others what was named since before_ms.
select channel_id
from channel c
where channel_id = any ($shared::bigint[])
  and exists (select 1 from membership m where m.channel_id = c.channel_id)
union
select channel_id
from channel c
where channel_id = any ($shared::bigint[])
  and exists (select 1 from reliability_channel r where r.channel_id = c.channel_id)
union
select channel_id from membership where channel_id = any ($alone::bigint[]) and last_sent_minute >= $before_ms::bigint
union
select channel_id from membership_report where channel_id = any ($alone::bigint[]) and created_at >= $before_ms::bigint

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

-- name: drop_named
-- Which types receivers named, as far as that was noted before before_ms: ingest notes again what still comes.
delete from receiver_kind where named_at < $before_ms::bigint

-- name: kinds_in_use
-- That receivers named or samples have.
select kind from receiver_kind
union
select kind from message

-- name: drop_types
delete from sample_kind where kind <> all ($in_use::integer[])

-- name: numbers_to_drop
-- Installations of which no receiver is known and nothing but numbers: all that they sent was rejected.
select distinct r.installation_id
from report_run r
where not exists (select 1 from receiver v where v.installation_id = r.installation_id)
  and not exists (
      select 1 from report_run k
      where k.installation_id = r.installation_id and k.last_sent_at is not null
  )
  and not exists (select 1 from lost_report l where l.installation_id = r.installation_id)

-- name: drop_numbers
delete from report_run where installation_id = any ($installation_ids::bigint[])
