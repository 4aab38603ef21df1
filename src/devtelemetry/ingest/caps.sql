-- What installations named and brought before: caps.py. A receiver without an installation counts as one by itself.

-- name: named_before
-- Returns the positions of the names that are stored. what: 0 a key, 1 a channel of a key, 2 a type of a key.
with named as materialized (
    select *
    from unnest($whats::smallint[], $receiver_ids::bigint[], $name_ids::bigint[])
        with ordinality as n (what, receiver_id, name_id, position)
)
select position from named join receiver using (receiver_id) where what = 0
union all
select position
from named n
join membership m on m.channel_id = n.name_id and m.receiver_id = n.receiver_id
where what = 1
union all
select position from named n join receiver_kind k on k.receiver_id = n.receiver_id and k.kind = n.name_id where what = 2

-- name: count_named
with own as materialized (
    select i.installation_id, r.receiver_id
    from unnest($installation_ids::bigint[]) as i (installation_id)
    join receiver r on r.installation_id = i.installation_id or r.receiver_id = i.installation_id
),
channels_of as (
    select receiver_id, count(*) as channels
    from membership
    where receiver_id = any (array(select receiver_id from own))
    group by receiver_id
),
types_of as (
    select receiver_id, count(*) as types
    from receiver_kind
    where receiver_id = any (array(select receiver_id from own))
    group by receiver_id
)
select
    installation_id,
    count(own.receiver_id) as keys,
    coalesce(sum(channels), 0)::bigint as channels,
    coalesce(sum(types), 0)::bigint as types
from unnest($installation_ids::bigint[]) as i (installation_id)
left join own using (installation_id)
left join channels_of using (receiver_id)
left join types_of using (receiver_id)
group by installation_id

-- name: write_types
insert into receiver_kind (receiver_id, kind, named_at)
select receiver_id, kind, $now_ms::bigint
from unnest($receiver_ids::bigint[], $kinds::integer[]) as n (receiver_id, kind)
on conflict do nothing

-- name: add_bytes
-- Returns the bytes that each installation brought that day, by all workers.
insert into installation_bytes as b (installation_id, day_start, size_bytes)
select installation_id, $day_start::bigint, size_bytes
from unnest($installation_ids::bigint[], $sizes::bigint[]) as n (installation_id, size_bytes)
where not exists (select 1 from opt_out o where o.installation_id = n.installation_id)
on conflict (installation_id, day_start) do update set size_bytes = b.size_bytes + excluded.size_bytes
returning installation_id, size_bytes
