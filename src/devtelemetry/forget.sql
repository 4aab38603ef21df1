-- name: receivers_of_owner
select receiver_id from receiver where owner_id = $1::bigint

-- name: receivers_of_installation
select receiver_id from receiver where installation_id = $1::bigint

-- name: delete_receipts
with deleted as (
    delete from receipt where receiver_id = any ($1::bigint[])
    returning created_at
)
select count(created_at) from deleted

-- name: delete_memberships
delete from membership where receiver_id = any ($1::bigint[])

-- name: delete_sent_envelopes
delete from sent_envelope where receiver_id = any ($1::bigint[])

-- name: delete_receivers
delete from receiver where receiver_id = any ($1::bigint[])

-- name: delete_events
delete from event where owner_id = $1::bigint or installation_id = $1::bigint

-- name: delete_orphaned_messages
-- What nobody else holds was known from this receiver alone.
delete from message m
where not exists (
    select
    from receipt r
    where r.sent_at = m.sent_at and r.channel_id = m.channel_id and r.message_id = m.message_id
)

-- name: delete_orphaned_envelopes
delete from message_envelope me
where not exists (
    select
    from message m
    where m.channel_id = me.channel_id and m.message_id = me.message_id
)
