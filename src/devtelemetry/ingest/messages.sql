-- name: insert_channels
insert into channel (channel_id, external_id)
select * from unnest($channel_ids::bigint[], $external_ids::text[])
on conflict do nothing

-- name: insert_kinds
insert into sample_kind (kind, source, message_type)
select * from unnest($kinds::integer[], $sources::text[], $message_types::text[])
on conflict do nothing

-- name: kinds
select kind, source, message_type from sample_kind

-- name: stored_messages
select m.channel_id, m.message_id, m.sent_at, m.created_at, m.kind, author_offset
from unnest($channel_ids::bigint[], $message_ids::bigint[]) as n (channel_id, message_id)
join message m on m.channel_id = n.channel_id and m.message_id = n.message_id
cross join lateral author_clock_offset(m.sent_at, m.channel_id, m.message_id) as author_offset

-- name: insert_messages
-- Returns those that were not there; another server may have been faster with the others.
insert into message (channel_id, message_id, sent_at, created_at, kind, message_size, external_id, envelope_id, topics)
select * from unnest(
    $channel_ids::bigint[], $message_ids::bigint[], $sent_at::bigint[], $created_at::bigint[], $kinds::integer[],
    $message_sizes::bigint[], $external_ids::text[], $envelopes::text[], $topics::bytea[]
)
on conflict do nothing
returning channel_id, message_id

-- name: lock
-- One transaction at a time: who replaces a message must know the sentAt that it had just before.
select pg_advisory_xact_lock($namespace, $lock)

-- name: remember_moves
-- Receipts stand under this sentAt (and are going to, from transactions that run now); repair will move them.
insert into moved_message (channel_id, message_id, moved_from)
select * from unnest($channel_ids::bigint[], $message_ids::bigint[], $moved_from::bigint[])
on conflict do nothing

-- name: replace_messages
-- An earlier sample than the known ones decides.
update message m
set sent_at = n.sent_at, created_at = n.created_at, kind = n.kind, message_size = n.message_size,
    envelope_id = n.envelope_id, topics = n.topics
from unnest(
    $channel_ids::bigint[], $message_ids::bigint[], $sent_at::bigint[], $created_at::bigint[], $kinds::integer[],
    $message_sizes::bigint[], $external_ids::text[], $envelopes::text[], $topics::bytea[]
) as n (channel_id, message_id, sent_at, created_at, kind, message_size, external_id, envelope_id, topics)
where m.channel_id = n.channel_id and m.message_id = n.message_id
