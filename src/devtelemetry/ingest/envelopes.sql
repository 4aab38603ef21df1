-- name: lock
-- One transaction at a time: who brings one half must see the other half.
select pg_advisory_xact_lock($namespace, $lock)

-- name: lock_shared
-- Of those who bring the same half, any number.
select pg_advisory_xact_lock_shared($namespace, $lock)

-- name: insert_message_envelopes
insert into message_envelope (channel_id, message_id, envelope_id, created_at)
select * from unnest($channel_ids::bigint[], $message_ids::bigint[], $envelope_ids::bigint[], $created_at::bigint[])
on conflict do nothing

-- name: write_events
-- The first who says it counts.
insert into envelope_event (envelope_id, event, installation_id, receiver_id, created_at, reason)
select * from unnest(
    $envelope_ids::bigint[], $events::smallint[], $installation_ids::bigint[], $receiver_ids::bigint[],
    $created_at::bigint[], $reasons::text[]
)
on conflict (envelope_id, event, installation_id, receiver_id) do update
set created_at = excluded.created_at, reason = excluded.reason
where (excluded.created_at, excluded.reason collate "C") < (envelope_event.created_at, envelope_event.reason collate "C")

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

-- name: unnamed
-- Samples without a message's id, with each message that came in their envelope. Not of who is being forgotten: its
-- receipts may be gone already.
select
    u.receiver_id, u.created_at as said_created_at, u.sent_at as said_sent_at, u.clock as said_clock, u.reason,
    m.channel_id, m.message_id, m.sent_at, m.clock, m.created_at, m.kind, m.typed_at, m.typed_sent_at, author_offset
from unreadable_envelope u
join message_envelope me on me.envelope_id = u.envelope_id and u.channel_id in (0, me.channel_id)
join message m on m.channel_id = me.channel_id and m.message_id = me.message_id
cross join lateral author_clock_offset(m.sent_at, m.channel_id, m.message_id) as author_offset
where u.envelope_id = any ($envelope_ids::bigint[])
  and not exists (select from forgotten_receiver f where f.receiver_id = u.receiver_id)

-- name: events
-- What is said of the envelopes that these messages came in, and of the messages that came in these envelopes. Who does
-- not say which receiver it is, is each receiver of its installation that reports the message or sent it. Not who is
-- being forgotten.
-- in   channel_ids, message_ids; envelope_ids
with
touched as materialized (
    select * from unnest($channel_ids::bigint[], $message_ids::bigint[]) as n (channel_id, message_id)
    union
    select channel_id, message_id from message_envelope where envelope_id = any ($envelope_ids::bigint[])
),

told as materialized (
    select channel_id, message_id, e.*
    from touched
    join message_envelope using (channel_id, message_id)
    join envelope_event e using (envelope_id)
),

named as (
    select channel_id, message_id, event, installation_id, receiver_id, envelope_id, created_at, reason
    from told
    where receiver_id <> 0 or event = 2
    union all
    select t.channel_id, t.message_id, t.event, t.installation_id, i.receiver_id, t.envelope_id, t.created_at, t.reason
    from told t
    join (
        select t.channel_id, t.message_id, t.installation_id, r.receiver_id
        from told t
        join message m using (channel_id, message_id)
        join receipt r on r.sent_at = m.sent_at and r.channel_id = t.channel_id and r.message_id = t.message_id
        join receiver v on v.receiver_id = r.receiver_id and v.installation_id = t.installation_id
        where t.receiver_id = 0
        union
        select channel_id, message_id, installation_id, receiver_id from told where receiver_id <> 0
    ) i using (channel_id, message_id, installation_id)
    where t.receiver_id = 0 and t.event <> 2
)

select
    n.event, n.receiver_id, n.envelope_id, n.created_at as told_at, n.reason,
    m.channel_id, m.message_id, m.sent_at, m.clock, m.created_at, m.kind, m.typed_at, m.typed_sent_at, author_offset
from named n
join message m using (channel_id, message_id)
cross join lateral author_clock_offset(m.sent_at, m.channel_id, m.message_id) as author_offset
where not exists (select from forgotten_receiver f where f.receiver_id = n.receiver_id)

-- name: went_out
-- in   also receiver_ids, envelope_ids: of who says so
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
-- Receipts of samples of that envelope that say of no other way.
update receipt r
set state = r.state + 64
from (
    select n.*, sent_at
    from unnest($channel_ids::bigint[], $message_ids::bigint[], $receiver_ids::bigint[], $envelope_ids::bigint[])
        as n (channel_id, message_id, receiver_id, envelope_id)
    join message using (channel_id, message_id)
) n
where r.sent_at = n.sent_at and r.channel_id = n.channel_id and r.message_id = n.message_id
  and r.receiver_id = n.receiver_id and r.envelope_id = n.envelope_id and r.state < 2048 and r.state & 96 = 0
returning r.sent_at
