-- Spreading the tables over a Citus cluster: distribution.py.

-- name: has_citus
select exists (select 1 from pg_extension where extname = 'citus')

-- name: is_coordinator
select citus_is_coordinator()

-- name: place
-- On a coordinator: whether the cluster knows its address, how many nodes hold shards, and whether this role may change
-- the settings of the database.
select
    current_database() as database,
    current_user as role,
    exists (select 1 from pg_dist_node where groupid = 0) as knows_itself,
    (
        select count(*) from pg_dist_node where shouldhaveshards and isactive and noderole = 'primary'
    ) as nodes,
    (
        select pg_has_role(datdba, 'USAGE') from pg_database where datname = current_database()
    ) as owns_database

-- name: settings
-- The statement that sets up each new session. The driver looks up types when it connects, which takes seconds if
-- shards are hidden from it one by one. And ingest writes to all shards at once, so connections to them are kept.
select format(
    'alter database %1$I set citus.override_table_visibility = off; '
    'alter database %1$I set citus.max_cached_conns_per_worker = 16',
    current_database()
)

-- name: others
-- How many other sessions of servers and commands are open on this database.
select count(*)
from pg_stat_activity
where datname = current_database() and application_name = 'devtelemetry' and pid <> pg_backend_pid()

-- name: kinds
-- How each table is spread. Not is_sharded: the whole table is on one node or on every node.
select logicalrelid::text as name, partmethod = 'h' as is_sharded
from pg_dist_partition
where logicalrelid not in (select inhrelid from pg_inherits)

-- name: distribute_function
select create_distributed_function($name::text::regprocedure)

-- name: set_shards
select set_config('citus.shard_count', $shards::text, true)

-- name: begin_colocation
select create_distributed_table($name::text::regclass, 'channel_id', colocate_with => 'none')

-- name: distribute
select create_distributed_table($name::text::regclass, 'channel_id', colocate_with => 'channel')

-- name: replicate
select create_reference_table($name::text::regclass)

-- name: shards
select count(*) from pg_dist_shard where logicalrelid = $name::text::regclass

-- name: keep
select citus_add_local_table_to_metadata($name::text::regclass)

-- name: drop_local_rows
-- Rows that were copied to the shards are still on the coordinator, where no statement sees them.
select truncate_local_data_after_distributing_table($name::text::regclass)
