-- Correcting stored rows that ingest found to be wrong: repair.py.

-- name: lock_ingest_out
-- Waits for the ingest transactions that run. New ones wait until this transaction ends.
select pg_advisory_xact_lock($namespace, $lock)

-- name: raise_epoch
-- Shows ingest that what it remembers of stored rows is no longer right.
update deployment set ingest_epoch = ingest_epoch + 1

-- name: needs_repair
-- Whether wrong rows are noted, other than those of doubts_delays.
select exists (select 1 from doubted_message) or exists (select 1 from doubted_receiver)

-- name: count_doubted_messages
select count(*) from doubted_message

-- name: doubts_delays
-- Whether wrong delays are noted for this window; only the computation of the window reads them.
select exists (select 1 from doubted_delay where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint)

-- name: take_doubted_messages
-- This transaction also raises the epoch, so no later one stores a receipt under an old sentAt or kind.
delete from doubted_message
where (channel_id, message_id) in (
    select channel_id, message_id from doubted_message order by channel_id, message_id limit $most::integer
)
returning channel_id, message_id

-- name: retype_receipts
-- For messages whose type changed after receipts were stored.
update receipt r
set kind = m.kind
from unnest($channel_ids::bigint[], $message_ids::bigint[]) as n (channel_id, message_id)
join message m on m.channel_id = n.channel_id and m.message_id = n.message_id
where r.sent_at = m.sent_at and r.channel_id = m.channel_id and r.message_id = m.message_id and r.kind <> m.kind

-- name: decide_messages
-- The messages whose sentAt or clock must change, with the new values. A message gets the sentAt that most
-- installations say by the best clock. Each installation votes with what it said first; of equally frequent times, the
-- first one counts.
-- in   days_kept: bigint[], the days that have a partition; votes for other days are ignored
with
doubted as materialized (
    select m.channel_id, m.message_id, m.sent_at, m.clock, m.kind
    from unnest($channel_ids::bigint[], $message_ids::bigint[]) as n (channel_id, message_id)
    join message m on m.channel_id = n.channel_id and m.message_id = n.message_id
),

ballot as (
    select
        channel_id,
        message_id,
        coalesce(v.installation_id, r.receiver_id) as voter,
        coalesce(r.vote, array[d.clock, r.created_at, d.sent_at]) as vote
    from doubted d
    join whole_receipt r using (sent_at, channel_id, message_id)
    left join receiver v using (receiver_id)
    where r.state < 4096
),

-- A window function, not a join: the planner guesses that there are few votes, and would search all of them for each
-- one.
ranked as (
    select channel_id, message_id, voter, vote, min(vote[1]) over (partition by channel_id, message_id) as best_clock
    from ballot
    where vote[3] / 86400000 = any ($days_kept::bigint[])
),

vote_of_voter as (
    select distinct on (channel_id, message_id, voter) channel_id, message_id, vote
    from ranked
    where vote[1] = best_clock
    order by channel_id, message_id, voter, vote
),

counted as (
    select channel_id, message_id, vote[1] as clock, vote[3] as sent_at, count(*) as votes, min(vote) as first_vote
    from vote_of_voter
    group by channel_id, message_id, vote[1], vote[3]
),

decided as (
    select distinct on (channel_id, message_id) channel_id, message_id, clock::smallint as clock, sent_at
    from counted
    order by channel_id, message_id, votes desc, first_vote
)

select
    channel_id, message_id, d.sent_at as moved_from, d.clock as old_clock, n.sent_at, n.clock, d.kind
from doubted d
join decided n using (channel_id, message_id)
where d.sent_at <> n.sent_at or d.clock <> n.clock
order by n.sent_at, channel_id, message_id

-- name: set_messages
update message m
set sent_at = n.sent_at,
    clock = n.clock,
    created_after = moment_after(n.sent_at, {said_first_at}),
    rare = message_rare(n.sent_at, {said_first_at}, {typed_at}, {typed_sent_at}, {message_size})
from unnest($channel_ids::bigint[], $message_ids::bigint[], $sent_at::bigint[], $clocks::smallint[])
    as n (channel_id, message_id, sent_at, clock)
where m.channel_id = n.channel_id and m.message_id = n.message_id

-- name: move_failures
update failure f
set sent_at = n.sent_at
from unnest($channel_ids::bigint[], $message_ids::bigint[], $moved_from::bigint[], $sent_at::bigint[])
    as n (channel_id, message_id, moved_from, sent_at)
where f.sent_at = n.moved_from and f.channel_id = n.channel_id and f.message_id = n.message_id
  and f.sent_at <> n.sent_at

-- name: take_receipts
-- Deletes and returns the receipts of these messages. A vote that was stored as equal to the message's is returned in
-- full, because the message changes.
delete from receipt r
using unnest(
    $channel_ids::bigint[], $message_ids::bigint[], $moved_from::bigint[], $old_clocks::smallint[], $sent_at::bigint[],
    $clocks::smallint[], $kinds::integer[]
) as q (channel_id, message_id, moved_from, old_clock, sent_at, clock, kind)
where r.sent_at = q.moved_from and r.channel_id = q.channel_id and r.message_id = q.message_id
returning q.moved_from, q.sent_at, q.clock, r.channel_id, r.message_id, r.receiver_id, {created_at} as created_at,
    {received_at} as received_at, q.kind, r.sent_by_receiver, r.state, {authored_at} as authored_at,
    {envelope_id} as envelope_id,
    case when r.state < 4096 then coalesce({vote}, array[q.old_clock, {created_at}, r.sent_at]) end as vote

-- name: put_receipts
-- Not those of receivers that are being forgotten: forgetting may have searched their new place already. Delays are
-- corrected by the author's clock later.
insert into receipt (
    sent_at, channel_id, message_id, receiver_id, created_after, received_after, kind, state, sent_by_receiver, rare
)
select
    sent_at, channel_id, message_id, receiver_id,
    moment_after(sent_at, created_at),
    moment_after(sent_at, received_at),
    kind,
    receipt_state(sent_at, case when clock <> 2 then received_at end, created_at, state & 2016),
    sent_by_receiver,
    receipt_rare(
        sent_at, sent_by_receiver, created_at, received_at, authored_at,
        case when vote_clock is not null
            then nullif(array[vote_clock, vote_created_at, vote_sent_at], array[clock, created_at, sent_at]) end,
        envelope_id
    )
from unnest(
    $sent_at::bigint[], $clocks::smallint[], $channel_ids::bigint[], $message_ids::bigint[], $receiver_ids::bigint[],
    $created_at::bigint[], $received_at::bigint[], $kinds::integer[], $sent_by_receiver::boolean[], $states::smallint[],
    $authored_at::bigint[], $envelope_ids::bigint[], $vote_clocks::bigint[], $vote_created_at::bigint[],
    $vote_sent_at::bigint[]
) as n (
    sent_at, clock, channel_id, message_id, receiver_id, created_at, received_at, kind, sent_by_receiver, state,
    authored_at, envelope_id, vote_clock, vote_created_at, vote_sent_at
)
where not exists (select 1 from forgotten_receiver f where f.receiver_id = n.receiver_id)

-- name: doubt_moved_delays
insert into doubted_delay (sent_at, channel_id, message_id)
select * from unnest($sent_at::bigint[], $channel_ids::bigint[], $message_ids::bigint[])
on conflict do nothing

-- name: take_doubted_delays
delete from doubted_delay
where (sent_at, channel_id, message_id) in (
    select sent_at, channel_id, message_id
    from doubted_delay
    order by sent_at, channel_id, message_id
    limit $most::integer
)
returning channel_id, message_id

-- name: dated_by_authors
-- The messages whose sentAt is by the author's clock, without those that were forgotten or cleaned meanwhile.
select distinct m.sent_at, m.channel_id, m.message_id
from unnest($channel_ids::bigint[], $message_ids::bigint[]) as n (channel_id, message_id)
join message m using (channel_id, message_id)
where m.clock = 1

-- name: correct_delays
-- For all receipts of these messages except the authors'. clock_offsets: of the authors' clocks; 0 if it is not known.
update receipt r
set state = receipt_state(r.sent_at + m.clock_offset, {received_at}, {created_at}, r.state & 2016)
from unnest($sent_at::bigint[], $channel_ids::bigint[], $message_ids::bigint[], $clock_offsets::bigint[])
    as m (sent_at, channel_id, message_id, clock_offset)
where r.sent_at = m.sent_at and r.channel_id = m.channel_id and r.message_id = m.message_id
  and not r.sent_by_receiver
  and r.state <> receipt_state(r.sent_at + m.clock_offset, {received_at}, {created_at}, r.state & 2016)

-- name: spans_of
-- The sentAt of the first and the last stored receipt of each of these memberships.
select r.channel_id, r.receiver_id, min(r.sent_at) as first_sent_at, max(r.sent_at) as last_sent_at
from receipt r
join unnest($channel_ids::bigint[], $receiver_ids::bigint[]) as n (channel_id, receiver_id)
    on n.channel_id = r.channel_id and n.receiver_id = r.receiver_id
where r.state < 4096
group by r.channel_id, r.receiver_id

-- name: set_spans
-- A first_sent_at before the oldest day kept comes from cleaned samples, so it stays.
update membership m
set first_sent_at = case
        when m.first_sent_at < $oldest_day_kept::bigint then m.first_sent_at else n.first_sent_at end,
    last_sent_minute = n.last_minute
from unnest($channel_ids::bigint[], $receiver_ids::bigint[], $first_sent_at::bigint[], $last_minutes::bigint[])
    as n (channel_id, receiver_id, first_sent_at, last_minute)
where m.channel_id = n.channel_id and m.receiver_id = n.receiver_id

-- name: last_reports
-- When the receivers that ingest doubts last reported, by the samples that are kept (NULL: none is). Cleaned samples do
-- not matter: they are older than every window that is still computed.
with doubted as materialized (
    select receiver_id from doubted_receiver
),
told as (
    select receiver_id, max(created_at) as created_at
    from whole_receipt
    where receiver_id in (select receiver_id from doubted)
    group by receiver_id
    union all
    select receiver_id, max(created_at)
    from failure
    where outcome < 4 and receiver_id in (select receiver_id from doubted)
    group by receiver_id
    union all
    -- Only samples that belong to no message yet; the others are in `failure`.
    select u.receiver_id, u.created_at
    from unreadable_envelope u
    left join message m on m.first_envelope = u.envelope_id and m.first_envelope <> 0 and u.channel_id in (0, m.channel_id)
    left join message_envelope e on e.envelope_id = u.envelope_id and u.channel_id in (0, e.channel_id)
    where m.message_id is null and e.envelope_id is null and u.receiver_id in (select receiver_id from doubted)
)
select receiver_id, max(created_at) as created_at
from doubted
left join told using (receiver_id)
group by receiver_id

-- name: redate_receivers
update receiver v
set last_receipt_minute = n.created_at / 60000 * 60000
from unnest($receiver_ids::bigint[], $created_at::bigint[]) as n (receiver_id, created_at)
where v.receiver_id = n.receiver_id

-- name: forget_doubts
delete from doubted_receiver
