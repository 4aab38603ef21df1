-- name: is_known
select exists (select from receiver where owner_id = $1::bigint or installation_id = $1::bigint)
    or exists (select from event where owner_id = $1::bigint or installation_id = $1::bigint)

-- name: receivers_of_owner
select receiver_id from receiver where owner_id = $1::bigint

-- name: receivers_of_installation
select receiver_id from receiver where installation_id = $1::bigint

-- name: delete_receipts
-- Returns the messages concerned, with how many samples of each went.
with deleted as (
    delete from receipt where receiver_id = any ($1::bigint[])
    returning sent_at, channel_id, message_id, created_at
)
select sent_at, channel_id, message_id, count(created_at) as samples
from deleted
group by sent_at, channel_id, message_id

-- name: delete_memberships
delete from membership where receiver_id = any ($1::bigint[])

-- name: delete_sent_envelopes
delete from sent_envelope where receiver_id = any ($1::bigint[])

-- name: delete_receivers
delete from receiver where receiver_id = any ($1::bigint[])

-- name: delete_events
delete from event where owner_id = $1::bigint or installation_id = $1::bigint

-- name: delete_orphaned_messages
-- What nobody else holds was known from these receivers alone.
with orphaned as (
    delete from message m
    using unnest($1::bigint[], $2::bigint[], $3::bigint[]) as n (sent_at, channel_id, message_id)
    where m.channel_id = n.channel_id and m.message_id = n.message_id
      and not exists (
          select
          from receipt r
          where r.sent_at = n.sent_at and r.channel_id = n.channel_id and r.message_id = n.message_id
      )
    returning m.channel_id, m.message_id
)
delete from message_envelope me
using orphaned o
where me.channel_id = o.channel_id and me.message_id = o.message_id
