-- What other clocks say: clock.py.

-- name: read
-- agreeing: clients whose clocks are at most leap_ms from the server's. needed: how many must agree: most_needed, or
-- all receivers if fewer are known.
select
    (extract(epoch from clock_timestamp()) * 1000)::bigint as database,
    (select seen_at from clock_seen) as seen_at,
    count(*) filter (where abs(offset_ms) <= $leap_ms::bigint) as agreeing,
    count(*) filter (where abs(offset_ms) > $leap_ms::bigint) as disagreeing,
    (select greatest(1, count(*)) from (select 1 from receiver limit $most_needed::bigint) known) as needed
from clock_witness

-- name: note_witness
insert into clock_witness (receiver_id, offset_ms) values ($receiver_id::bigint, $offset_ms::bigint)
on conflict (receiver_id) do update set offset_ms = excluded.offset_ms

-- name: forget_witnesses
delete from clock_witness

-- name: see
insert into clock_seen (seen_at) values ($now_ms::bigint)
on conflict (singleton) do update set seen_at = excluded.seen_at
