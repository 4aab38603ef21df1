-- name: partitions_of_receipt
select child.relname as name
from pg_inherits
join pg_class child on child.oid = inhrelid
where inhparent = 'receipt'::regclass

-- name: lock
select pg_advisory_xact_lock($namespace, $lock)

-- name: packed_keys
-- Keys of days that are packed. One that is being packed, or was when its server went, has an index beside it.
select relname as name
from pg_class
where relname ~ '^receipt_[0-9]{8}_pkey$' and relnamespace = current_schema()::regnamespace
  and 'fillfactor=100' = any (reloptions)
  and to_regclass(quote_ident(relname || '_ccnew')) is null
