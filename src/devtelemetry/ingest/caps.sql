-- How much installations named and brought before: caps.py. A receiver without an installation is one by itself.

-- name: named_before
-- Those of these names that are stored, by their position: 0 keys, 1 channels of a key, 2 types.
select n.position
from unnest($whats::smallint[], $receiver_ids::bigint[], $name_ids::bigint[])
    with ordinality as n (what, receiver_id, name_id, position)
where case n.what
    when 0 then exists (select from receiver r where r.receiver_id = n.receiver_id)
    when 1 then
        exists (select from membership m where m.channel_id = n.name_id and m.receiver_id = n.receiver_id)
    else exists (select from receiver_kind k where k.receiver_id = n.receiver_id and k.kind = n.name_id)
end

-- name: count_named
select i.installation_id, named.*
from unnest($installation_ids::bigint[]) as i (installation_id)
cross join lateral (
    select
        count(*) as keys,
        coalesce(sum((select count(*) from membership m where m.receiver_id = r.receiver_id)), 0)::bigint as channels,
        coalesce(sum((select count(*) from receiver_kind k where k.receiver_id = r.receiver_id)), 0)::bigint as types
    from receiver r
    where r.installation_id = i.installation_id or r.receiver_id = i.installation_id
) named

-- name: write_types
insert into receiver_kind (receiver_id, kind, named_at)
select receiver_id, kind, $now_ms::bigint
from unnest($receiver_ids::bigint[], $kinds::integer[]) as n (receiver_id, kind)
on conflict do nothing

-- name: add_bytes
-- Returns what each brought that day, by all workers.
insert into installation_bytes as b (installation_id, day_start, size_bytes)
select installation_id, $day_start::bigint, size_bytes
from unnest($installation_ids::bigint[], $sizes::bigint[]) as n (installation_id, size_bytes)
where not exists (select from opt_out o where o.installation_id = n.installation_id)
on conflict (installation_id, day_start) do update set size_bytes = b.size_bytes + excluded.size_bytes
returning installation_id, size_bytes
