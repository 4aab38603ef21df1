-- Putting right what ingest found to be wrong in rows stored earlier: repair.py.

-- name: lock_ingest_out
-- Waits for the ingest transactions that run, and keeps new ones waiting until this one ends.
select pg_advisory_xact_lock($namespace, $lock)

-- name: raise_epoch
-- Tells ingest that what it remembers of stored rows no longer holds.
update deployment set ingest_epoch = ingest_epoch + 1

-- name: needs_repair
-- Whether rows are noted that everyone reads.
select exists (select from moved_message) or exists (select from doubted_receiver)

-- name: doubts_delays
-- Whether such are noted as only a computation of this window reads.
select exists (select from doubted_delay where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint)

-- name: moved_messages
select q.channel_id, q.message_id, q.moved_from, m.sent_at, m.kind
from moved_message q
join message m on m.channel_id = q.channel_id and m.message_id = q.message_id
order by m.sent_at, q.channel_id, q.message_id

-- name: take_receipts
-- Takes out the receipts that stand under a sentAt or kind that is no longer their message's.
delete from receipt r
using unnest(
    $channel_ids::bigint[], $message_ids::bigint[], $moved_from::bigint[], $sent_at::bigint[], $kinds::integer[]
) as q (channel_id, message_id, moved_from, sent_at, kind)
where r.sent_at = q.moved_from and r.channel_id = q.channel_id and r.message_id = q.message_id
  and (r.sent_at <> q.sent_at or r.kind <> q.kind)
returning q.sent_at, r.channel_id, r.message_id, r.receiver_id, r.created_at, r.received_at, q.kind,
    r.sent_by_receiver

-- name: put_receipts
-- But for those of receivers that are being forgotten: the place where they would go may have been searched already.
-- Their delays, by the author's clock, come after.
insert into receipt
    (sent_at, channel_id, message_id, receiver_id, created_at, received_at, kind, sent_by_receiver, delay)
select
    sent_at, channel_id, message_id, receiver_id, min(created_at), min(received_at), kind, bool_or(sent_by_receiver),
    receipt_delay(sent_at, min(received_at), min(created_at))
from unnest(
    $sent_at::bigint[], $channel_ids::bigint[], $message_ids::bigint[], $receiver_ids::bigint[], $created_at::bigint[],
    $received_at::bigint[], $kinds::integer[], $sent_by_receiver::boolean[]
) as n (sent_at, channel_id, message_id, receiver_id, created_at, received_at, kind, sent_by_receiver)
where not exists (select from forgotten_receiver f where f.receiver_id = n.receiver_id)
group by sent_at, channel_id, message_id, receiver_id, kind
order by sent_at, channel_id, message_id, receiver_id
on conflict (sent_at, channel_id, message_id, receiver_id) do update
set created_at = least(receipt.created_at, excluded.created_at),
    received_at = least(receipt.received_at, excluded.received_at),
    sent_by_receiver = receipt.sent_by_receiver or excluded.sent_by_receiver,
    delay = receipt_delay(
        receipt.sent_at,
        least(receipt.received_at, excluded.received_at),
        least(receipt.created_at, excluded.created_at)
    )

-- name: doubt_moved_delays
insert into doubted_delay (sent_at, channel_id, message_id)
select m.sent_at, m.channel_id, m.message_id
from moved_message
join message m using (channel_id, message_id)
on conflict do nothing

-- name: forget_moves
-- No transaction stores under an old sentAt any more: the epoch goes up with this one.
delete from moved_message

-- name: take_doubted_delays
delete from doubted_delay
where (sent_at, channel_id, message_id) in (
    select sent_at, channel_id, message_id
    from doubted_delay
    order by sent_at, channel_id, message_id
    limit $most::integer
)
returning channel_id, message_id

-- name: correct_delays
-- Of all receipts of these messages but their authors', by the author's clock as far as it is known. A message that was
-- forgotten or cleaned meanwhile is not there.
update receipt r
set delay = receipt_delay(r.sent_at + m.clock_offset, r.received_at, r.created_at)
from (
    select m.sent_at, m.channel_id, m.message_id, coalesce(clock_offset, 0) as clock_offset
    from (select distinct * from unnest($channel_ids::bigint[], $message_ids::bigint[])) as n (channel_id, message_id)
    join message m using (channel_id, message_id)
    cross join lateral author_clock_offset(m.sent_at, m.channel_id, m.message_id) as clock_offset
) m
where r.sent_at = m.sent_at and r.channel_id = m.channel_id and r.message_id = m.message_id
  and not r.sent_by_receiver
  and r.delay <> receipt_delay(r.sent_at + m.clock_offset, r.received_at, r.created_at)

-- name: spans_of
-- The first and last receipt of these receivers of channels, of all that is kept.
select r.channel_id, r.receiver_id, min(r.sent_at) as first_sent_at, max(r.sent_at) as last_sent_at
from receipt r
join unnest($channel_ids::bigint[], $receiver_ids::bigint[]) as n (channel_id, receiver_id)
    on n.channel_id = r.channel_id and n.receiver_id = r.receiver_id
where r.created_at is not null
group by r.channel_id, r.receiver_id

-- name: set_spans
-- What lies before the oldest day kept is known from cleaned samples only, and stays.
update membership m
set first_sent_at = case
        when m.first_sent_at < $oldest_day_kept::bigint then m.first_sent_at else n.first_sent_at end,
    last_sent_minute = n.last_minute
from unnest($channel_ids::bigint[], $receiver_ids::bigint[], $first_sent_at::bigint[], $last_minutes::bigint[])
    as n (channel_id, receiver_id, first_sent_at, last_minute)
where m.channel_id = n.channel_id and m.receiver_id = n.receiver_id

-- name: redate_receivers
-- When those that ingest doubts, and these others, last reported, by what is kept. What was cleaned is older than
-- every window that is still computed.
update receiver v
set last_receipt_minute = n.last_created_at / 60000 * 60000
from (
    select q.receiver_id, max(r.created_at) as last_created_at
    from (select receiver_id from doubted_receiver union select * from unnest($receiver_ids::bigint[])) q
    left join receipt r on r.receiver_id = q.receiver_id
    group by q.receiver_id
) n
where v.receiver_id = n.receiver_id

-- name: forget_doubts
delete from doubted_receiver
