-- For sampled.py: the sample of a window in which a rule of sampling begins. start_ms, end_ms: of the window.

-- name: unsampled
create temp table unsampled_message (channel_id bigint, message_id bigint) on commit drop

-- name: messages
-- The messages that were sent in the window, with the ids that clients gave them.
select m.channel_id, m.message_id, channel.external_id as channel, m.external_id as message
from (
    select distinct channel_id, message_id
    from receipt
    where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint
) sent
join whole_message m using (channel_id, message_id)
join channel using (channel_id)

-- name: leave_out
insert into unsampled_message (channel_id, message_id)
select * from unnest($channel_ids::bigint[], $message_ids::bigint[])

-- name: copy
create temp table sampled_receipt on commit drop as
select r.*
from receipt r
left join (select channel_id, message_id from unsampled_message) u using (channel_id, message_id)
where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and u.message_id is null

-- name: call_it_receipt
alter table sampled_receipt rename to receipt

-- name: key
create unique index on pg_temp.receipt (sent_at, channel_id, message_id, receiver_id)

-- name: marks
create index on pg_temp.receipt (sent_at) where state >= 4096

-- name: analyze
analyze pg_temp.receipt

-- name: put_first
-- From here on, statements that name `receipt` are planned again and read the temporary table. Returns the old search
-- path.
with path as materialized (
    select current_setting('search_path') as before
)
select before from path where set_config('search_path', 'pg_temp, ' || before, true) is not null

-- name: put_back
select set_config('search_path', $search_path::text, true)

-- name: drop
drop table pg_temp.receipt, unsampled_message

-- name: coarse
-- Receivers that recorded a coarser sample in the window than the rules asked for, and the n of that sample.
select channel_id, receiver_id, one_in
from coarse_receiver
where since_at < $end_ms::bigint and until_at >= $start_ms::bigint
