-- name: partitions_of_receipt
select child.relname as name
from pg_inherits
join pg_class child on child.oid = inhrelid
where inhparent = 'receipt'::regclass

-- name: lock
select pg_advisory_xact_lock($namespace, $lock)
