-- For pulled.py: copies to the coordinator what later statements read of sharded tables. Each query adds to the table
-- that algorithm.py names. A row that several queries select is there once.
-- in   start_ms, end_ms   of the window, Unix ms, half-open; other parameters as in spans.sql

-- name: suspects
-- Receipts of messages that may be in one hand.
insert into pulled_receipt
select *
from receipt
where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and (sent_at, channel_id, message_id) in (
    select suspect.sent_at, channel_id, suspect.message_id
    from kind_of_window
    cross join lateral unnest(suspect_id, suspect_sent_at) as suspect (message_id, sent_at)
)
on conflict do nothing

-- name: neighbors
-- Receipts of messages that one network alone vouches for.
insert into pulled_receipt
select *
from receipt
where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and (sent_at, channel_id, message_id) in (
    select neighbor.sent_at, channel_id, neighbor.message_id
    from measured
    cross join lateral unnest(neighbor_id, neighbor_sent_at) as neighbor (message_id, sent_at)
)
on conflict do nothing

-- name: memberships
-- Memberships that may count.
insert into pulled_membership
select *
from membership
where has_said or (first_sent_at < $end_ms::bigint and last_sent_minute >= $start_ms::bigint)

-- name: of_messages
-- Receipts of messages that are left out, were not sent, or have several authors.
insert into pulled_receipt
select *
from receipt
where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and (sent_at, channel_id, message_id) in (
    select sent_at, channel_id, message_id from claimed where is_left_out
    union all
    select unsent.sent_at, channel_id, unsent.message_id
    from measured
    cross join lateral unnest(unsent_id, unsent_sent_at) as unsent (message_id, sent_at)
    union all
    select several.sent_at, channel_id, several.message_id
    from measured
    cross join lateral unnest(several_id, several_sent_at) as several (message_id, sent_at)
)
on conflict do nothing

-- name: not_held
insert into pulled_receipt
select *
from receipt
where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and state >= 2048
on conflict do nothing

-- name: outside_stay
-- Receipts of receivers outside their stays.
insert into pulled_receipt
with
-- include: spans.sql
none as (select 1)
select r.*
from receipt r
join part_stay using (channel_id, receiver_id)
where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and not stays @> sent_at
on conflict do nothing

-- name: in_hole
-- Receipts of receivers within their holes.
insert into pulled_receipt
with
-- include: spans.sql
none as (select 1)
select r.*
from receipt r
join hole_of_receiver using (receiver_id)
where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and holes @> sent_at
on conflict do nothing

-- name: failures
insert into pulled_failure
select * from failure where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint

-- name: seen_messages
-- Messages that their author reported as not sent, but that were seen in the network.
insert into pulled_message
select *
from message
where went_out and (channel_id, message_id) in (
    select channel_id, unsent.message_id from measured cross join lateral unnest(unsent_id) as unsent (message_id)
)

-- name: channels
insert into pulled_channel
select * from channel where channel_id in (select channel_id from measured)

-- name: is_here
select to_regclass('pg_temp.' || $name::text) is not null
