-- name: enter
-- The lock keeps jobs that rewrite what ingest remembers (repair, forget, clean) waiting until this transaction ends.
-- The setting saves planning time, because the statements of this transaction are always alike.
select set_config('plan_cache_mode', 'auto', true), pg_advisory_xact_lock_shared($namespace, $lock)

-- name: epoch
-- Shows whether such a job has run since, or another version migrated the schema. This must be a statement of its own,
-- because a statement that waits for the lock sees the rows as they were before it waited.
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
