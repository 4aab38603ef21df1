-- name: insert_channels
insert into channel (channel_id, external_id)
select * from unnest($channel_ids::bigint[], $external_ids::text[])
on conflict do nothing

-- name: one_after_another
-- For clusters. A transaction may change a table that is on every node, and then read it together with sharded tables
-- that it changed, only if it changes one shard after the other. This must be set before the first of these changes.
-- Without a cluster it has no effect.
set local citus.multi_shard_modify_mode = 'sequential'

-- name: insert_kinds
insert into sample_kind (kind, source, message_type)
select * from unnest($kinds::integer[], $sources::text[], $message_types::text[])
on conflict do nothing

-- name: stored_kinds
select kind, source, message_type from sample_kind where kind = any ($kinds::integer[])

-- name: stored_messages
select m.channel_id, m.message_id, m.sent_at, m.clock, m.created_at, m.kind, m.typed_at, m.typed_sent_at
from unnest($channel_ids::bigint[], $message_ids::bigint[]) as n (channel_id, message_id)
join whole_message m on m.channel_id = n.channel_id and m.message_id = n.message_id

-- name: insert_messages
-- Returns the messages that it inserted. The others are there already: another server was faster.
insert into message (
    channel_id, message_id, sent_at, first_envelope, created_after, size_bytes, kind, clock, went_out, is_typed, rare,
    external_bytes, envelope_bytes, topics
)
select
    channel_id, message_id, sent_at, first_envelope, moment_after(sent_at, created_at),
    least(coalesce(message_size, -1), 2147483647), kind, clock, false, typed_at is not null,
    message_rare(sent_at, created_at, typed_at, typed_sent_at, message_size),
    id_bytes(external_id), id_bytes(envelope_id), topics
from unnest(
    $channel_ids::bigint[], $message_ids::bigint[], $sent_at::bigint[], $clocks::smallint[], $created_at::bigint[],
    $kinds::integer[], $typed_at::bigint[], $typed_sent_at::bigint[], $message_sizes::bigint[], $external_ids::text[], $envelopes::text[],
    $topics::bytea[], $first_envelopes::bigint[]
) as n (
    channel_id, message_id, sent_at, clock, created_at, kind, typed_at, typed_sent_at, message_size, external_id, envelope_id,
    topics, first_envelope
)
on conflict do nothing
returning channel_id, message_id

-- name: replace_first_said
-- The earliest sample decides.
update message m
set created_after = moment_after(m.sent_at, n.created_at),
    size_bytes = least(coalesce(n.message_size, -1), 2147483647),
    envelope_bytes = id_bytes(n.envelope_id),
    topics = n.topics,
    rare = message_rare(m.sent_at, n.created_at, {typed_at}, {typed_sent_at}, n.message_size)
from unnest(
    $channel_ids::bigint[], $message_ids::bigint[], $created_at::bigint[], $message_sizes::bigint[], $envelopes::text[],
    $topics::bytea[]
) as n (channel_id, message_id, created_at, message_size, envelope_id, topics)
where m.channel_id = n.channel_id and m.message_id = n.message_id and n.created_at < {said_first_at}

-- name: replace_types
-- The earliest sample that has a type decides (NULL: no sample has one). Samples by status-go's interface decide only
-- if no other sample came. Of samples of the same moment the least sentAt decides, then the least type.
update message m
set kind = n.kind,
    is_typed = n.typed_at is not null,
    rare = message_rare(m.sent_at, {said_first_at}, n.typed_at, n.typed_sent_at, {message_size})
from (
    select
        n.*, said.source = 'status-go' as is_status_go, said.message_type,
        known.source = 'status-go' as was_status_go, known.message_type as known_type
    from unnest(
        $channel_ids::bigint[], $message_ids::bigint[], $kinds::integer[], $typed_at::bigint[], $typed_sent_at::bigint[]
    ) as n (channel_id, message_id, kind, typed_at, typed_sent_at)
    join sample_kind said on said.kind = n.kind
    join message stored on stored.channel_id = n.channel_id and stored.message_id = n.message_id
    join sample_kind known on known.kind = stored.kind
) n
where m.channel_id = n.channel_id and m.message_id = n.message_id
  and (n.is_status_go, n.typed_at is null, coalesce(n.typed_at, 0), coalesce(n.typed_sent_at, 0), n.message_type collate "C")
      < (n.was_status_go, not m.is_typed, coalesce({typed_at}, 0), coalesce({typed_sent_at}, 0), n.known_type collate "C")
