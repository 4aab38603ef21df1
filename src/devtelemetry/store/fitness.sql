-- Whether a database is fit for use: fitness.py.

-- name: fitness
-- schema: NULL if the search_path names no schema that exists.
-- foreign_owner: the owner of the table `receipt`; NULL if we own it or are a member of the role that does.
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
