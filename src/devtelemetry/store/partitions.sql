-- name: partitions_of_receipt
select child.relname as name
from pg_inherits
join pg_class child on child.oid = inhrelid
where inhparent = 'receipt'::regclass

-- name: lock
select pg_advisory_xact_lock($namespace, $lock)

-- name: packed_keys
-- Indexes of the keys of packed days. If a day is being packed, or its server died while packing it, a second index is
-- beside the first.
select relname as name
from pg_class
where relname ~ '^receipt_[0-9]{8}_pkey$' and relnamespace = current_schema()::regnamespace
  and 'fillfactor=100' = any (reloptions)
  and to_regclass(quote_ident(relname || '_ccnew')) is null
