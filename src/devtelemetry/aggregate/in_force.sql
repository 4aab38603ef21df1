-- The rules by which windows of this database are computed; for in_force.py.

-- name: try_alone
select pg_try_advisory_lock($namespace, $lock)

-- name: no_longer_alone
select pg_advisory_unlock($namespace, $lock)

-- name: join
-- Does not wait, because this session holds the exclusive lock.
select pg_advisory_lock_shared($namespace, $lock)

-- name: try_join
select pg_try_advisory_lock_shared($namespace, $lock)

-- name: leave
select pg_advisory_unlock_shared($namespace, $lock)

-- name: stored
select rules::text from rules_in_force

-- name: set
insert into rules_in_force (rules) values ($rules::text::jsonb)
on conflict (singleton) do update set rules = excluded.rules
