-- Sessions that wait for this program's advisory locks: locks.py.

-- name: waits
-- For each lock the longest wait, in seconds, and the sessions that hold the lock: process, host, state, and since when
-- in that state.
select
    w.objid::integer as lock,
    max(extract(epoch from clock_timestamp() - w.waitstart))::double precision as seconds,
    (
        select string_agg(
            format(
                'process %s from %s, %s for %s s',
                h.pid,
                coalesce(host(a.client_addr), 'this host'),
                a.state,
                extract(epoch from clock_timestamp() - a.state_change)::bigint
            ),
            '; ' order by h.pid
        )
        from pg_locks h
        join pg_stat_activity a on a.pid = h.pid
        where h.locktype = 'advisory' and h.database = w.database and h.classid = w.classid and h.objid = w.objid
          and h.granted
    ) as held_by
from pg_locks w
where w.locktype = 'advisory' and not w.granted and w.classid = $namespace::integer::oid
  and w.database = (select oid from pg_database where datname = current_database())
group by w.database, w.classid, w.objid
