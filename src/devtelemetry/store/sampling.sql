-- The rules of sampling: sampling.py.

-- name: salt
select sampling_salt from deployment

-- name: rules
select channel_id, from_at, one_in from sampling_rule order by channel_id, from_at

-- name: audits
-- The channels of audits. begins: what their ids begin with.
select channel_id from channel where starts_with(external_id, $begins::text)

-- name: add
insert into sampling_rule (channel_id, from_at, one_in)
select channel_id, $from_at::bigint, one_in
from unnest($channel_ids::bigint[], $one_in::integer[]) as n (channel_id, one_in)
on conflict do nothing

-- name: take_salt
-- Returns the salt if it is the deployment's from now on; no row if rules were made with another salt.
update deployment
set sampling_salt = $salt::bytea
where sampling_salt = $salt::bytea or not exists (select 1 from sampling_rule)
returning sampling_salt
