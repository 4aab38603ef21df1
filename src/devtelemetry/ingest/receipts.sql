-- name: insert_receipts
-- Counts the rows that `returning` has, because a cluster reports the rows sent, not the rows stored. held: receipts
-- that hold the message, and marks without a failure.
with inserted as (
    insert into receipt (
        sent_at, channel_id, message_id, receiver_id, created_after, received_after, kind, state, sent_by_receiver, rare
    )
    select
        sent_at, channel_id, message_id, receiver_id,
        moment_after(sent_at, created_at),
        moment_after(sent_at, received_at),
        kind,
        receipt_state(sent_at + author_offset, case when clock <> 2 then received_at end, created_at, said),
        sent_by_receiver,
        receipt_rare(sent_at, sent_by_receiver, created_at, received_at, authored_at, other_vote, envelope_id)
    -- include: new_receipt.sql
    on conflict do nothing
    returning state < 2048 or state >= 4096 and state & 1024 = 0 as is_held
)
select count(*) as receipts, count(*) filter (where is_held) as held from inserted

-- name: merge_receipts
-- A receipt has the date of its earliest sample that holds the message. One sample with "I wrote it" is enough. Returns
-- the receipts that changed.
-- is_earlier   the receipt got an earlier date, so its receiver's last report may be earlier, too
-- is_held_now  the receipt holds the message now, and did not before
-- offset       how far the author's clock is off, by the receipt as it is now; NULL if it does not say
update receipt r
set created_after = moment_after(r.sent_at, least({created_at}, n.created_at)),
    received_after = moment_after(r.sent_at, least({received_at}, n.received_at)),
    sent_by_receiver = r.sent_by_receiver or n.sent_by_receiver,
    state = receipt_state(
        r.sent_at + case when r.sent_by_receiver then 0 else n.author_offset end,
        case when n.clock <> 2 then least({received_at}, n.received_at) end,
        least({created_at}, n.created_at),
        ((r.state | n.said) & 1920)
        + case
            when n.created_at is null or {created_at} < n.created_at then r.state & 96
            when {created_at} = n.created_at then least(r.state & 96, n.said & 96)
            else n.said & 96
        end
    ),
    rare = receipt_rare(
        r.sent_at,
        r.sent_by_receiver or n.sent_by_receiver,
        least({created_at}, n.created_at),
        least({received_at}, n.received_at),
        least({authored_at}, n.authored_at),
        nullif(
            least(
                case when r.state < 4096 then coalesce({vote}, array[n.clock, {created_at}, r.sent_at]) end, n.vote
            ),
            array[n.clock, least({created_at}, n.created_at), r.sent_at]
        ),
        case when n.created_at is null or {created_at} <= n.created_at then {envelope_id} else n.envelope_id end
    )
from (
    select n.*, known.created_at as known_created_at
    -- include: new_receipt.sql
    join whole_receipt known on known.sent_at = n.sent_at and known.channel_id = n.channel_id
        and known.message_id = n.message_id and known.receiver_id = n.receiver_id
) n
where r.sent_at = n.sent_at and r.channel_id = n.channel_id and r.message_id = n.message_id
  and r.receiver_id = n.receiver_id
  and (
      n.created_at < {created_at}
      or ({created_at} is null and n.created_at is not null)
      or (n.created_at = {created_at} and n.said & 96 < r.state & 96)
      or n.received_at < {received_at}
      or ({received_at} is null and n.received_at is not null)
      or (n.sent_by_receiver and not r.sent_by_receiver)
      or n.said & 1920 & ~r.state::integer <> 0
      or n.authored_at < {authored_at}
      or ({authored_at} is null and n.authored_at is not null)
      or r.state >= 4096 and n.vote is not null
      or n.vote < coalesce({vote}, array[n.clock, {created_at}, r.sent_at])
  )
returning
    r.sent_at, r.channel_id, r.message_id, r.receiver_id,
    coalesce(n.created_at < n.known_created_at, false) as is_earlier,
    n.known_created_at is null and n.created_at is not null as is_held_now,
    r.sent_by_receiver,
    {received_at} - r.sent_at as "offset"

-- name: write_failures
-- The first sample of each outcome counts. was_there: the failure was stored before and got an earlier date.
insert into failure (sent_at, channel_id, message_id, receiver_id, outcome, created_at, reason)
select * from unnest(
    $sent_at::bigint[], $channel_ids::bigint[], $message_ids::bigint[], $receiver_ids::bigint[], $outcomes::smallint[],
    $created_at::bigint[], $reasons::text[]
)
on conflict (sent_at, channel_id, message_id, receiver_id, outcome) do update
set created_at = excluded.created_at, reason = excluded.reason
where (excluded.created_at is null, coalesce(excluded.created_at, 0), excluded.reason collate "C")
    < (failure.created_at is null, coalesce(failure.created_at, 0), failure.reason collate "C")
returning receiver_id, xmax <> 0 as was_there

-- name: last_created_at
-- When the receivers of these receipts last reported one of them, after the merge.
select receiver_id, max(greatest(r.created_at, f.created_at)) as created_at
from unnest(
    $sent_at::bigint[], $channel_ids::bigint[], $message_ids::bigint[], $receiver_ids::bigint[]
) as n (sent_at, channel_id, message_id, receiver_id)
join whole_receipt r using (sent_at, channel_id, message_id, receiver_id)
left join (select * from failure where outcome < 4) f using (sent_at, channel_id, message_id, receiver_id)
where r.state < 4096
group by receiver_id

-- name: doubt_messages
-- The receipts of these messages may have a wrong sentAt or kind, and transactions that run now may add more of them.
-- Repair will decide.
insert into doubted_message (channel_id, message_id)
select * from unnest($channel_ids::bigint[], $message_ids::bigint[])
on conflict do nothing

-- name: votes_of
-- The other sentAt that samples of these messages have.
select distinct vote[3] as sent_at
from unnest($channel_ids::bigint[], $message_ids::bigint[], $sent_at::bigint[]) as n (channel_id, message_id, sent_at)
join whole_receipt using (sent_at, channel_id, message_id)
where vote is not null

-- name: doubt_receivers
insert into doubted_receiver (receiver_id)
select * from unnest($receiver_ids::bigint[])
on conflict do nothing

-- name: doubt_delays
-- Delays of these messages may be stored without what is now known of the author's clock, and transactions that run now
-- may add more of them. Repair will correct them.
insert into doubted_delay (sent_at, channel_id, message_id)
select * from unnest($sent_at::bigint[], $channel_ids::bigint[], $message_ids::bigint[])
on conflict do nothing

-- name: upsert_receivers
-- A receiver's latest report decides what it says of itself, its clock and its origin. Of reports of the same moment
-- the greatest value decides. The time of its last report only grows.
insert into receiver (
    receiver_id, owner_id, installation_id, platform_minute, platform, app_version_minute, app_version,
    app_version_before_minute, app_version_before, server_minute, server, last_receipt_minute, last_heartbeat_minute,
    clock_offset, clock_said_at, origin_minute, bucket_id, token
)
select
    receiver_id, owner_id, installation_id, platform_minute, platform, app_version_minute, app_version,
    before_minute, version_before, server_minute, server, last_receipt_minute, last_heartbeat_minute,
    clock_offset, clock_said_at, origin_minute, nullif(bucket_id, 0), token
from unnest(
    $receiver_ids::bigint[], $owner_ids::bigint[], $installation_ids::bigint[], $platform_minutes::bigint[],
    $platforms::text[], $app_version_minutes::bigint[], $app_versions::text[],
    $before_minutes::bigint[], $versions_before::text[], $server_minutes::bigint[], $servers::text[],
    $last_receipt_minutes::bigint[], $last_heartbeat_minutes::bigint[], $clock_offsets::bigint[], $clock_said_at::bigint[],
    $origin_minutes::bigint[], $bucket_ids::bigint[], $tokens::text[]
) as n (
    receiver_id, owner_id, installation_id, platform_minute, platform, app_version_minute, app_version,
    before_minute, version_before, server_minute, server, last_receipt_minute, last_heartbeat_minute,
    clock_offset, clock_said_at, origin_minute, bucket_id, token
)
on conflict (receiver_id) do update
set platform = case
        when (excluded.platform_minute, excluded.platform collate "C")
             > (receiver.platform_minute, receiver.platform collate "C")
        then excluded.platform else receiver.platform end,
    platform_minute = greatest(receiver.platform_minute, excluded.platform_minute),
    (app_version_minute, app_version, app_version_before_minute, app_version_before) = (
        select a.minute, a.name, coalesce(b.minute, 0), coalesce(b.name, '')
        from (
            select *
            from (
                values
                    (receiver.app_version_minute, receiver.app_version),
                    (excluded.app_version_minute, excluded.app_version)
            ) as said (minute, name)
            order by minute desc, name collate "C" desc
            limit 1
        ) a
        left join lateral (
            select *
            from (
                values
                    (receiver.app_version_minute, receiver.app_version),
                    (receiver.app_version_before_minute, receiver.app_version_before),
                    (excluded.app_version_minute, excluded.app_version),
                    (excluded.app_version_before_minute, excluded.app_version_before)
            ) as said (minute, name)
            where said.name <> a.name
            order by minute desc, name collate "C" desc
            limit 1
        ) b on true
    ),
    server = case
        when (excluded.server_minute, excluded.server collate "C")
             > (receiver.server_minute, receiver.server collate "C")
        then excluded.server else receiver.server end,
    server_minute = greatest(receiver.server_minute, excluded.server_minute),
    last_receipt_minute = greatest(receiver.last_receipt_minute, excluded.last_receipt_minute),
    last_heartbeat_minute = greatest(receiver.last_heartbeat_minute, excluded.last_heartbeat_minute),
    clock_offset = case
        when excluded.clock_said_at is not null
         and (receiver.clock_said_at is null or (excluded.clock_said_at, excluded.clock_offset)
             > (receiver.clock_said_at, receiver.clock_offset))
        then excluded.clock_offset else receiver.clock_offset end,
    clock_said_at = greatest(receiver.clock_said_at, excluded.clock_said_at),
    (origin_minute, bucket_id, token) = (
        select o.origin_minute, o.bucket_id, o.token
        from (
            values
                (receiver.origin_minute, receiver.bucket_id, receiver.token),
                (excluded.origin_minute, excluded.bucket_id, excluded.token)
        ) as o (origin_minute, bucket_id, token)
        order by o.origin_minute desc, coalesce(o.bucket_id, 0) desc, o.token collate "C" desc
        limit 1
    )

-- name: upsert_memberships
insert into membership (channel_id, receiver_id, first_sent_at, last_sent_minute)
select * from unnest($channel_ids::bigint[], $receiver_ids::bigint[], $first_sent_at::bigint[], $last_minutes::bigint[])
on conflict (channel_id, receiver_id) do update
set first_sent_at = least(membership.first_sent_at, excluded.first_sent_at),
    last_sent_minute = greatest(membership.last_sent_minute, excluded.last_sent_minute)
where membership.first_sent_at is null
   or excluded.first_sent_at < membership.first_sent_at
   or excluded.last_sent_minute > membership.last_sent_minute
