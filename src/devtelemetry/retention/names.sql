-- Dropping names that nobody needs any more: names.py.

-- name: mark_shared
-- Marks channels that two installations named. The mark outlives the installations' rows.
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
-- The channels without samples that stay.
-- in   shared: channels that two installations ever named; they stay if they have a member or figures
--      alone: channels that only one installation ever named; they stay if it did so since before_ms
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
-- Deletes the notes of which types receivers named before before_ms. If a type still comes, ingest notes it again.
delete from receiver_kind where named_at < $before_ms::bigint

-- name: kinds_in_use
-- Kinds that receivers named or messages have.
select kind from receiver_kind
union
select kind from message

-- name: drop_types
delete from sample_kind where kind <> all ($in_use::integer[])

-- name: numbers_to_drop
-- Installations without a receiver that have only numbers of rejected samples.
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
