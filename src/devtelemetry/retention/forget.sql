-- Deleting the reports of receivers: forget.py. hashed_id: the hash of a public key, or of an installation.

-- name: remember_opt_out
insert into opt_out (installation_id, forgotten_at) values ($installation_id::bigint, $now_ms::bigint)
on conflict (installation_id) do update set forgotten_at = excluded.forgotten_at

-- name: take_receivers
-- Returns the receivers that were taken.
with taken as (
    delete from receiver
    where owner_id = $hashed_id::bigint or installation_id = $hashed_id::bigint
    returning receiver_id, owner_id, installation_id
)
insert into forgotten_receiver (receiver_id, owner_id, installation_id)
select receiver_id, owner_id, installation_id from taken
returning receiver_id

-- name: delete_numbers
-- Deletes the numbers that arrived or are reported as lost, of the installation or of the key's installations. Ingest
-- drops numbers that still come from them.
with forgotten as (
    select $hashed_id::bigint as installation_id
    union
    select installation_id from forgotten_receiver where owner_id = $hashed_id::bigint
),
lost as (
    delete from lost_report where installation_id in (select installation_id from forgotten)
)
delete from report_run where installation_id in (select installation_id from forgotten)

-- name: pending
select receiver_id from forgotten_receiver where owner_id = $hashed_id::bigint or installation_id = $hashed_id::bigint

-- name: all_pending
select receiver_id from forgotten_receiver

-- name: receipts_of
-- The receipts of the receivers, in the order of the key.
-- in   after_*: the key after which to begin; end_ms: the sentAt before which to end; most_receipts: how many;
--      since_ms, before_ms: only of messages that the receiver first reported in this span; NULL: all
-- out  is_shared: somebody else reports the message too, under the same sentAt, so the message stays
select
    r.sent_at, r.channel_id, r.message_id, r.receiver_id,
    exists (
        select 1
        from receipt other
        where other.sent_at = r.sent_at and other.channel_id = r.channel_id and other.message_id = r.message_id
          and other.receiver_id <> all ($receiver_ids::bigint[]) and other.state < 4096
    ) as is_shared
from whole_receipt r
where r.receiver_id = any ($receiver_ids::bigint[])
  and (r.sent_at, r.channel_id, r.message_id, r.receiver_id) > ($after_sent_at::bigint, $after_channel_id::bigint, $after_message_id::bigint, $after_receiver_id::bigint)
  and r.sent_at < $end_ms::bigint
  and (
      $since_ms::bigint is null
      or {first_said_at} >= $since_ms::bigint and {first_said_at} < $before_ms::bigint
  )
order by r.sent_at, r.channel_id, r.message_id, r.receiver_id
limit $most_receipts::integer

-- name: delete_receipts
-- Deletes receipts by key. Returns how many samples that were; an author's mark is not one. If an author is deleted,
-- its clock no longer corrects delays, so they are doubted.
with deleted as (
    delete from receipt r
    using unnest($sent_at::bigint[], $channel_ids::bigint[], $message_ids::bigint[], $receiver_ids::bigint[])
        as n (sent_at, channel_id, message_id, receiver_id)
    where r.sent_at = n.sent_at and r.channel_id = n.channel_id and r.message_id = n.message_id
      and r.receiver_id = n.receiver_id
    returning r.sent_at, r.channel_id, r.message_id, r.receiver_id, r.state, {received_at} as received_at, r.sent_by_receiver
),
doubted as (
    insert into doubted_delay (sent_at, channel_id, message_id)
    select sent_at, channel_id, message_id
    from deleted
    where sent_by_receiver and abs(received_at - sent_at) >= 1000
    union
    -- Another author's receipt is left, and may now be the only one that says how far the clock is off.
    select d.sent_at, d.channel_id, d.message_id
    from deleted d
    join whole_receipt r on r.sent_at = d.sent_at and r.channel_id = d.channel_id and r.message_id = d.message_id
    where d.sent_by_receiver and r.receiver_id <> d.receiver_id and r.sent_by_receiver
      and abs(r.received_at - r.sent_at) >= 1000
    on conflict do nothing
)
select count(*) filter (where state < 4096) from deleted

-- name: delete_orphaned_messages
-- Deletes the messages that nobody reports any more, with their authors' marks. All receipts have the sentAt of their
-- message, because they were repaired in the same transaction.
with orphaned as (
    delete from message m
    using unnest($channel_ids::bigint[], $message_ids::bigint[]) as n (channel_id, message_id)
    where m.channel_id = n.channel_id and m.message_id = n.message_id
      and not exists (
          select 1
          from receipt r
          where r.sent_at = m.sent_at and r.channel_id = m.channel_id and r.message_id = m.message_id
            and r.state < 4096
      )
    returning m.sent_at, m.channel_id, m.message_id
),
marks as (
    delete from receipt r
    using orphaned o
    where r.sent_at = o.sent_at and r.channel_id = o.channel_id and r.message_id = o.message_id
)
delete from message_envelope me
using orphaned o
where me.channel_id = o.channel_id and me.message_id = o.message_id

-- name: delete_memberships
with reports as (
    delete from membership_report where receiver_id = any ($receiver_ids::bigint[])
),
coarse as (
    delete from coarse_receiver where receiver_id = any ($receiver_ids::bigint[])
)
delete from membership where receiver_id = any ($receiver_ids::bigint[])

-- name: delete_named
delete from receiver_kind where receiver_id = any ($receiver_ids::bigint[])

-- name: delete_failures
delete from failure where receiver_id = any ($receiver_ids::bigint[])

-- name: delete_unreadable_envelopes
delete from unreadable_envelope where receiver_id = any ($receiver_ids::bigint[])

-- name: delete_envelope_events
-- Reports of an installation that names no receiver are deleted with their day.
delete from envelope_event
where receiver_id = any ($receiver_ids::bigint[])
   or installation_id in (select installation_id from forgotten_receiver where receiver_id = any ($receiver_ids::bigint[]))

-- name: delete_of_installations
-- Deletes the record that an installation was confirmed, and its bytes of a day. If the installation has another
-- receiver, both stay.
with gone as (
    select coalesce(installation_id, receiver_id) as installation_id
    from forgotten_receiver
    where receiver_id = any ($receiver_ids::bigint[])
      and (installation_id is null or installation_id not in (
          select installation_id from receiver where installation_id is not null
      ))
),
bytes as (
    delete from installation_bytes where installation_id in (select installation_id from gone)
)
delete from corroborated_installation where installation_id in (select installation_id from gone)

-- name: release_receivers
-- From here on the receivers are as if they had never reported.
delete from forgotten_receiver where receiver_id = any ($receiver_ids::bigint[])
