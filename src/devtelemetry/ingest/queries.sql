-- What one group commit does, in this order. Every list comes in as arrays of one length, without repeated keys and
-- sorted by the key: two writers that take the same locks in the same order cannot deadlock.

-- name: enter
-- Holds off whoever rewrites what ingest remembers (repair, forget, clean) until this transaction ends.
select pg_advisory_xact_lock_shared($1, $2)

-- name: epoch
-- Whether one of them has been at work since. A statement of its own: one that had waited for the lock would still see
-- the rows as they were before it waited.
select ingest_epoch from deployment

-- name: forgotten_receivers
-- Of these receivers, those whose installation opted out and those that are being forgotten.
select n.receiver_id
from unnest($1::bigint[], $2::bigint[]) as n (receiver_id, installation_id)
where exists (select from opt_out o where o.installation_id = n.installation_id)
   or exists (select from forgotten_receiver f where f.receiver_id = n.receiver_id)

-- name: insert_channels
insert into channel (channel_id, external_id)
select * from unnest($1::bigint[], $2::text[])
on conflict do nothing

-- name: insert_kinds
insert into sample_kind (kind, source, message_type)
select * from unnest($1::integer[], $2::text[], $3::text[])
on conflict do nothing

-- name: kinds
select kind, source, message_type from sample_kind

-- name: known_messages
select m.channel_id, m.message_id, m.sent_at, m.created_at, m.kind, clock_offset
from unnest($1::bigint[], $2::bigint[]) as n (channel_id, message_id)
join message m on m.channel_id = n.channel_id and m.message_id = n.message_id
cross join lateral author_clock_offset(m.sent_at, m.channel_id, m.message_id) as clock_offset

-- name: insert_messages
-- Returns those that were not there; another server may have been faster with the others.
insert into message (channel_id, message_id, sent_at, created_at, kind, message_size, external_id, envelope_id, topics)
select * from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::bigint[], $7::text[], $8::text[],
    $9::bytea[]
)
on conflict do nothing
returning channel_id, message_id

-- name: lock_out
-- One transaction at a time: who replaces a message must know the sentAt it had just before; who brings one half of
-- (message in envelope, envelope sent by author) must see the other half.
select pg_advisory_xact_lock($1, $2)

-- name: remember_moves
-- Receipts stand under this sentAt (and are going to, from transactions that run now); repair will move them.
insert into moved_message (channel_id, message_id, moved_from)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])
on conflict do nothing

-- name: replace_messages
-- An earlier sample than the known ones decides.
update message m
set sent_at = n.sent_at, created_at = n.created_at, kind = n.kind, message_size = n.message_size,
    envelope_id = n.envelope_id, topics = n.topics
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::bigint[], $7::text[], $8::text[],
    $9::bytea[]
) as n (channel_id, message_id, sent_at, created_at, kind, message_size, external_id, envelope_id, topics)
where m.channel_id = n.channel_id and m.message_id = n.message_id

-- name: insert_receipts
-- Counts by what it returns: a cluster reports the rows sent, not the rows stored.
with inserted as (
    insert into receipt
        (sent_at, channel_id, message_id, receiver_id, created_at, received_at, kind, sent_by_receiver, delay)
    select
        sent_at, channel_id, message_id, receiver_id, created_at, received_at, kind, sent_by_receiver,
        receipt_delay(sent_at + clock_offset, received_at, created_at)
    from unnest(
        $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::boolean[], $8::bigint[],
        $9::integer[]
    ) as n (
        sent_at, channel_id, message_id, receiver_id, created_at, received_at, sent_by_receiver, clock_offset, kind
    )
    on conflict do nothing
    returning 1
)
select count(*) from inserted

-- name: merge_receipts
-- The earliest of its samples dates a receipt, and one that says "I wrote it" is enough. is_earlier: the receipt
-- got an earlier date, so that its receiver's last one may lie earlier too. author_offset: how far the clock of an author
-- is off by what its receipt says now.
update receipt r
set created_at = least(r.created_at, n.created_at),
    received_at = least(r.received_at, n.received_at),
    sent_by_receiver = r.sent_by_receiver or n.sent_by_receiver,
    delay = receipt_delay(
        r.sent_at + case when r.sent_by_receiver then 0 else n.clock_offset end,
        least(r.received_at, n.received_at),
        least(r.created_at, n.created_at)
    )
from (
    select n.*, known.created_at as known_created_at
    from unnest(
        $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::boolean[], $8::bigint[]
    ) as n (sent_at, channel_id, message_id, receiver_id, created_at, received_at, sent_by_receiver, clock_offset)
    join receipt known on known.sent_at = n.sent_at and known.channel_id = n.channel_id
        and known.message_id = n.message_id and known.receiver_id = n.receiver_id
) n
where r.sent_at = n.sent_at and r.channel_id = n.channel_id and r.message_id = n.message_id
  and r.receiver_id = n.receiver_id
  and (
      n.created_at < r.created_at
      or (r.created_at is null and n.created_at is not null)
      or n.received_at < r.received_at
      or (r.received_at is null and n.received_at is not null)
      or (n.sent_by_receiver and not r.sent_by_receiver)
  )
returning
    r.sent_at, r.channel_id, r.message_id, r.receiver_id,
    coalesce(n.created_at < n.known_created_at, false) as is_earlier,
    case when r.sent_by_receiver then r.received_at - r.sent_at end as author_offset

-- name: latest_receipts
-- When the receivers of these receipts last reported one of them, after merging.
select r.receiver_id, max(r.created_at) as created_at
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) as n (sent_at, channel_id, message_id, receiver_id)
join receipt r on r.sent_at = n.sent_at and r.channel_id = n.channel_id and r.message_id = n.message_id
    and r.receiver_id = n.receiver_id
where r.created_at is not null
group by r.receiver_id

-- name: doubt_receivers
insert into doubted_receiver (receiver_id)
select * from unnest($1::bigint[])
on conflict do nothing

-- name: doubt_delays
-- Receipts of these messages may be stored (or going to be, from transactions that run now) with a delay by another clock
-- of their author; repair will correct it.
insert into doubted_delay (sent_at, channel_id, message_id)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])
on conflict do nothing

-- name: upsert_receivers
-- What a receiver says of itself is as of its latest report, its clock too (of one moment the greatest name or offset);
-- when it last reported only grows.
insert into receiver (
    receiver_id, owner_id, installation_id, platform_minute, platform, app_version_minute, app_version,
    last_receipt_minute, last_heartbeat_minute, clock_offset, clock_said_at
)
select * from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[]
)
on conflict (receiver_id) do update
set platform = case
        when (excluded.platform_minute, excluded.platform collate "C")
             > (receiver.platform_minute, receiver.platform collate "C")
        then excluded.platform else receiver.platform end,
    platform_minute = greatest(receiver.platform_minute, excluded.platform_minute),
    app_version = case
        when (excluded.app_version_minute, excluded.app_version collate "C")
             > (receiver.app_version_minute, receiver.app_version collate "C")
        then excluded.app_version else receiver.app_version end,
    app_version_minute = greatest(receiver.app_version_minute, excluded.app_version_minute),
    last_receipt_minute = greatest(receiver.last_receipt_minute, excluded.last_receipt_minute),
    last_heartbeat_minute = greatest(receiver.last_heartbeat_minute, excluded.last_heartbeat_minute),
    clock_offset = case
        when excluded.clock_said_at is not null
         and (receiver.clock_said_at is null or (excluded.clock_said_at, excluded.clock_offset)
             > (receiver.clock_said_at, receiver.clock_offset))
        then excluded.clock_offset else receiver.clock_offset end,
    clock_said_at = greatest(receiver.clock_said_at, excluded.clock_said_at)

-- name: upsert_memberships
insert into membership (channel_id, receiver_id, first_sent_minute, last_sent_minute)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
on conflict (channel_id, receiver_id) do update
set first_sent_minute = least(membership.first_sent_minute, excluded.first_sent_minute),
    last_sent_minute = greatest(membership.last_sent_minute, excluded.last_sent_minute)
where membership.first_sent_minute is null
   or excluded.first_sent_minute < membership.first_sent_minute
   or excluded.last_sent_minute > membership.last_sent_minute

-- name: upsert_reported_memberships
-- Of joining and of leaving the latest that was said counts; of what was said at one moment, the greatest. Leaving: 0
-- comes in for "still in".
insert into membership (channel_id, receiver_id, joined_at, joined_said_at, left_at, left_said_at)
select channel_id, receiver_id, joined_at, joined_said_at, nullif(left_at, 0), left_said_at
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
    as n (channel_id, receiver_id, joined_at, joined_said_at, left_at, left_said_at)
on conflict (channel_id, receiver_id) do update
set joined_at = case
        when excluded.joined_said_at is not null
         and (membership.joined_said_at is null or (excluded.joined_said_at, excluded.joined_at)
             > (membership.joined_said_at, membership.joined_at))
        then excluded.joined_at else membership.joined_at end,
    joined_said_at = greatest(membership.joined_said_at, excluded.joined_said_at),
    left_at = case
        when excluded.left_said_at is not null
         and (membership.left_said_at is null or (excluded.left_said_at, coalesce(excluded.left_at, 0))
             > (membership.left_said_at, coalesce(membership.left_at, 0)))
        then excluded.left_at else membership.left_at end,
    left_said_at = greatest(membership.left_said_at, excluded.left_said_at)

-- name: upsert_arrivals
insert into arrival (sent_minute, arrived_at, arrived_on_time_at)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])
on conflict (sent_minute) do update
set arrived_at = greatest(arrival.arrived_at, excluded.arrived_at),
    arrived_on_time_at = greatest(arrival.arrived_on_time_at, excluded.arrived_on_time_at)

-- name: insert_message_envelopes
insert into message_envelope (channel_id, message_id, envelope_id, created_at)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
on conflict do nothing

-- name: insert_sent_envelopes
insert into sent_envelope (envelope_id, receiver_id, created_at)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])
on conflict do nothing

-- name: authors_of_envelopes
-- The authors of all messages that came in these envelopes, as far as both sides are known by now. Not who is being
-- forgotten: its envelopes are still there, and its receipts may be gone already.
select me.channel_id, me.message_id, se.receiver_id, m.sent_at, m.kind
from message_envelope me
join sent_envelope se on se.envelope_id = me.envelope_id
join message m on m.channel_id = me.channel_id and m.message_id = me.message_id
where me.envelope_id = any ($1::bigint[])
  and not exists (select from forgotten_receiver f where f.receiver_id = se.receiver_id)
group by me.channel_id, me.message_id, se.receiver_id, m.sent_at, m.kind
order by m.sent_at, me.channel_id, me.message_id, se.receiver_id

-- name: insert_marks
-- Of authors that have no receipt of their message (yet). Returns those that are new.
insert into receipt
    (sent_at, channel_id, message_id, receiver_id, created_at, received_at, kind, sent_by_receiver, delay)
select sent_at, channel_id, message_id, receiver_id, null, null, kind, true, receipt_delay(sent_at, null, null)
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[])
    as n (sent_at, channel_id, message_id, receiver_id, kind)
on conflict do nothing
returning sent_at

-- name: write_runs
-- Numbers of reports that arrived. The stored run that begins with a new one or next before it takes the new one in if
-- both touch or overlap; else that is a row of its own. What one of two rows does not know, the other tells.
-- Not of who opted out or is being forgotten: a push of rejected samples alone names no receiver that was looked up.
with arrived as (
    select *
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
        as n (installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at)
    where not exists (select from opt_out o where o.installation_id = n.installation_id)
      and not exists (select from forgotten_receiver f where f.installation_id = n.installation_id)
),
grown as (
    update report_run r
    set first_sent_at = case
            when n.first_sequence = r.first_sequence then least(r.first_sent_at, n.first_sent_at)
            else coalesce(r.first_sent_at, n.first_sent_at) end,
        last_sent_at = case
            when n.last_sequence = r.last_sequence then greatest(r.last_sent_at, n.last_sent_at)
            when n.last_sequence > r.last_sequence then coalesce(n.last_sent_at, r.last_sent_at)
            else coalesce(r.last_sent_at, n.last_sent_at) end,
        last_sequence = greatest(r.last_sequence, n.last_sequence)
    from (
        select distinct on (a.installation_id, stored_sequence) a.*, stored_sequence
        from arrived a
        cross join lateral (
            select max(k.first_sequence) as stored_sequence
            from report_run k
            where k.installation_id = a.installation_id and k.first_sequence <= a.first_sequence
        ) k
        order by a.installation_id, stored_sequence, a.first_sequence
    ) n
    where r.installation_id = n.installation_id and r.first_sequence = n.stored_sequence
      and r.last_sequence >= n.first_sequence - 1
    returning n.installation_id, n.first_sequence
)
insert into report_run (installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at)
select a.installation_id, a.first_sequence, a.last_sequence, a.first_sent_at, a.last_sent_at
from arrived a
where not exists (
    select from grown g where g.installation_id = a.installation_id and g.first_sequence = a.first_sequence
)
order by a.installation_id, a.first_sequence
-- Another server may have been faster.
on conflict (installation_id, first_sequence) do update
set first_sent_at = least(report_run.first_sent_at, excluded.first_sent_at),
    last_sent_at = case
        when excluded.last_sequence = report_run.last_sequence
        then greatest(report_run.last_sent_at, excluded.last_sent_at)
        when excluded.last_sequence > report_run.last_sequence
        then coalesce(excluded.last_sent_at, report_run.last_sent_at)
        else coalesce(report_run.last_sent_at, excluded.last_sent_at) end,
    last_sequence = greatest(report_run.last_sequence, excluded.last_sequence)
