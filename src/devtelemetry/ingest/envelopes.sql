-- name: lock
-- One transaction at a time: a transaction that brings one half must see the other half.
select pg_advisory_xact_lock($namespace, $lock)

-- name: lock_shared
-- Any number of transactions that bring the same half.
select pg_advisory_xact_lock_shared($namespace, $lock)

-- name: insert_message_envelopes
insert into message_envelope (channel_id, message_id, envelope_id, created_at)
select * from unnest($channel_ids::bigint[], $message_ids::bigint[], $envelope_ids::bigint[], $created_at::bigint[])
on conflict do nothing

-- name: write_events
-- The first report counts.
insert into envelope_event (envelope_id, event, installation_id, receiver_id, created_at, reason)
select * from unnest(
    $envelope_ids::bigint[], $events::smallint[], $installation_ids::bigint[], $receiver_ids::bigint[],
    $created_at::bigint[], $reasons::text[]
)
on conflict (envelope_id, event, installation_id, receiver_id) do update
set created_at = excluded.created_at, reason = excluded.reason
where (excluded.created_at, excluded.reason collate "C") < (envelope_event.created_at, envelope_event.reason collate "C")

-- name: unnamed_before
-- The receivers of those of these samples without a message id that are stored already.
select distinct receiver_id
from unnest($envelope_ids::bigint[], $channel_ids::bigint[], $receiver_ids::bigint[])
    as n (envelope_id, channel_id, receiver_id)
join unreadable_envelope using (envelope_id, channel_id, receiver_id)

-- name: write_unnamed
-- The first one counts.
insert into unreadable_envelope (envelope_id, channel_id, receiver_id, created_at, sent_at, clock, reason)
select * from unnest(
    $envelope_ids::bigint[], $channel_ids::bigint[], $receiver_ids::bigint[], $created_at::bigint[], $sent_at::bigint[],
    $clocks::smallint[], $reasons::text[]
)
on conflict (envelope_id, channel_id, receiver_id) do update
set created_at = excluded.created_at, sent_at = excluded.sent_at, clock = excluded.clock, reason = excluded.reason
where (excluded.created_at, excluded.sent_at, excluded.clock, excluded.reason collate "C")
    < (unreadable_envelope.created_at, unreadable_envelope.sent_at, unreadable_envelope.clock,
       unreadable_envelope.reason collate "C")

-- Reports and the messages that they concern are read separately and joined in envelopes.py. In one transaction, a
-- cluster cannot join what the transaction wrote on the coordinator and on shards.

-- name: unnamed
-- Samples without a message id. of_channel: 0 if the sample names no channel and so may be of any.
select receiver_id, envelope_id, channel_id as of_channel, created_at, sent_at, clock, reason
from unreadable_envelope
where envelope_id = any ($envelope_ids::bigint[])

-- name: messages_in
select channel_id, message_id, first_envelope as envelope_id
from message
where first_envelope = any ($envelope_ids::bigint[]) and first_envelope <> 0
union all
select channel_id, message_id, envelope_id from message_envelope where envelope_id = any ($envelope_ids::bigint[])

-- name: envelopes_of
select channel_id, message_id, first_envelope as envelope_id
from unnest($channel_ids::bigint[], $message_ids::bigint[]) as n (channel_id, message_id)
join message using (channel_id, message_id)
where first_envelope <> 0
union all
select channel_id, message_id, envelope_id
from unnest($channel_ids::bigint[], $message_ids::bigint[]) as n (channel_id, message_id)
join message_envelope using (channel_id, message_id)

-- name: events
select envelope_id, event, installation_id, receiver_id, created_at, reason
from envelope_event
where envelope_id = any ($envelope_ids::bigint[])

-- name: receivers_of
select receiver_id, installation_id from receiver where installation_id = any ($installation_ids::bigint[])

-- name: reporters
-- Which of these receivers report these messages or sent them.
select r.channel_id, r.message_id, r.receiver_id
from unnest($channel_ids::bigint[], $message_ids::bigint[]) as n (channel_id, message_id)
join message m using (channel_id, message_id)
join receipt r using (channel_id, message_id, sent_at)
where r.receiver_id = any ($receiver_ids::bigint[])

-- name: forgotten
-- The receivers that are being forgotten: their receipts may be gone already.
select receiver_id from forgotten_receiver where receiver_id = any ($receiver_ids::bigint[])

-- name: went_out
-- in   also receiver_ids and envelope_ids, which this query does not use
with seen as (
    select distinct channel_id, message_id
    from unnest($channel_ids::bigint[], $message_ids::bigint[], $receiver_ids::bigint[], $envelope_ids::bigint[])
        as n (channel_id, message_id, receiver_id, envelope_id)
)
update message m
set went_out = true
from seen
where m.channel_id = seen.channel_id and m.message_id = seen.message_id and not went_out
returning sent_at

-- name: from_store
-- Changes receipts of samples with that envelope that do not report a way of their own.
update receipt r
set state = r.state + 64
from (
    select n.*, sent_at
    from unnest($channel_ids::bigint[], $message_ids::bigint[], $receiver_ids::bigint[], $envelope_ids::bigint[])
        as n (channel_id, message_id, receiver_id, envelope_id)
    join message using (channel_id, message_id)
) n
where r.sent_at = n.sent_at and r.channel_id = n.channel_id and r.message_id = n.message_id
  and r.receiver_id = n.receiver_id and {envelope_id} = n.envelope_id and r.state < 2048 and r.state & 96 = 0
returning r.sent_at
