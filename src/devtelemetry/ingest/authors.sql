-- name: lock
-- One transaction at a time: who brings one half must see the other half.
select pg_advisory_xact_lock($namespace, $lock)

-- name: insert_message_envelopes
insert into message_envelope (channel_id, message_id, envelope_id, created_at)
select * from unnest($channel_ids::bigint[], $message_ids::bigint[], $envelope_ids::bigint[], $created_at::bigint[])
on conflict do nothing

-- name: insert_sent_envelopes
insert into sent_envelope (envelope_id, receiver_id, created_at)
select * from unnest($envelope_ids::bigint[], $receiver_ids::bigint[], $created_at::bigint[])
on conflict do nothing

-- name: authors_of_envelopes
-- The authors of all messages that came in these envelopes, as far as both sides are known by now. Not who is being
-- forgotten: its envelopes are still there, and its receipts may be gone already.
select m.sent_at, me.channel_id, me.message_id, se.receiver_id, m.kind
from message_envelope me
join sent_envelope se on se.envelope_id = me.envelope_id
join message m on m.channel_id = me.channel_id and m.message_id = me.message_id
where me.envelope_id = any ($envelope_ids::bigint[])
  and not exists (select from forgotten_receiver f where f.receiver_id = se.receiver_id)
group by me.channel_id, me.message_id, se.receiver_id, m.sent_at, m.kind
order by m.sent_at, me.channel_id, me.message_id, se.receiver_id

-- name: insert_marks
-- Of authors that have no receipt of their message (yet). Returns those that are new.
insert into receipt
    (sent_at, channel_id, message_id, receiver_id, created_at, received_at, kind, sent_by_receiver, delay)
select sent_at, channel_id, message_id, receiver_id, null, null, kind, true, receipt_delay(sent_at, null, null)
from unnest(
    $sent_at::bigint[], $channel_ids::bigint[], $message_ids::bigint[], $receiver_ids::bigint[], $kinds::integer[]
) as n (sent_at, channel_id, message_id, receiver_id, kind)
on conflict do nothing
returning sent_at
