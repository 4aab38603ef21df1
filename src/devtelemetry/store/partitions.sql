-- name: partitions_of
select child.relname as name
from pg_inherits
join pg_class child on child.oid = inhrelid
where inhparent = $1::text::regclass

-- name: lock
select pg_advisory_xact_lock($1, $2)
