-- Whether a database will do: fitness.py.

-- name: fitness
-- schema: NULL if the search_path names none that there is
-- foreign_owner: whose the table `receipt` is, unless it is ours or of a role that we are a member of.
select
    current_database() as database,
    current_user as role,
    current_setting('server_encoding') as encoding,
    pg_is_in_recovery() as is_standby,
    current_setting('transaction_read_only')::boolean as is_read_only,
    current_schema() as schema,
    has_schema_privilege(current_schema(), 'CREATE') as may_create,
    (
        select pg_get_userbyid(relowner)
        from pg_class
        where oid = to_regclass('receipt') and not pg_has_role(relowner, 'USAGE')
    ) as foreign_owner
