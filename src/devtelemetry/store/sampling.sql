-- Of which messages clients are to report: sampling.py.

-- name: salt
select sampling_salt from deployment

-- name: rules
select channel_id, from_at, one_in from sampling_rule order by channel_id, from_at

-- name: audits
-- The channels of audits. begins: how their ids do.
select channel_id from channel where starts_with(external_id, $begins::text)

-- name: add
insert into sampling_rule (channel_id, from_at, one_in)
select channel_id, $from_at::bigint, one_in
from unnest($channel_ids::bigint[], $one_in::integer[]) as n (channel_id, one_in)
on conflict do nothing

-- name: take_salt
-- Returns it if it is the one that rules go by from now on; no row if there are rules by another one.
update deployment
set sampling_salt = $salt::bytea
where sampling_salt = $salt::bytea or not exists (select 1 from sampling_rule)
returning sampling_salt
