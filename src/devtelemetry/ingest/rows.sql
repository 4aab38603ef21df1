-- name: enter
-- Holds off whoever rewrites what ingest remembers (repair, forget, clean) until this transaction ends, whose statements are
-- always alike: the time to plan each of them anew is saved.
select set_config('plan_cache_mode', 'auto', true), pg_advisory_xact_lock_shared($namespace, $lock)

-- name: epoch
-- Whether one of them has been at work since, or another version migrated the schema. A statement of its own: one that had
-- waited for the lock would still see the rows as they were before it waited.
select ingest_epoch, (select version_num from alembic_version) as revision from deployment

-- name: forgotten_receivers
-- Of these receivers, those whose installation opted out and those that are being forgotten.
select n.receiver_id
from unnest($receiver_ids::bigint[], $installation_ids::bigint[]) as n (receiver_id, installation_id)
where exists (select 1 from opt_out o where o.installation_id = n.installation_id)
   or exists (select 1 from forgotten_receiver f where f.receiver_id = n.receiver_id)

-- name: upsert_arrivals
insert into arrival (sent_minute, arrived_at, arrived_on_time_at)
select * from unnest($sent_minutes::bigint[], $arrived_at::bigint[], $arrived_on_time_at::bigint[])
on conflict (sent_minute) do update
set arrived_at = greatest(arrival.arrived_at, excluded.arrived_at),
    arrived_on_time_at = greatest(arrival.arrived_on_time_at, excluded.arrived_on_time_at)
