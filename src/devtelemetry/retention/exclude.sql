-- Excluding reports of receivers, so that windows are computed without them: exclude.py.

-- name: receivers_of
-- The receiver, or all receivers that share its installation or its network.
select other.receiver_id
from receiver one
join receiver other
    on case
        when $hand::text = 'installation' then
            coalesce(other.installation_id, other.receiver_id) = coalesce(one.installation_id, one.receiver_id)
        when $hand::text = 'network' then other.receiver_id = one.receiver_id or other.bucket_id = one.bucket_id
        else other.receiver_id = one.receiver_id
    end
where one.receiver_id = $receiver_id::bigint
order by other.receiver_id

-- name: receivers_of_token
select receiver_id from receiver where token = $token::text order by receiver_id

-- name: take_these
with taken as (
    delete from receiver where receiver_id = any ($receiver_ids::bigint[])
    returning receiver_id, owner_id, installation_id
)
insert into forgotten_receiver (receiver_id, owner_id, installation_id)
select receiver_id, owner_id, installation_id from taken
returning receiver_id

-- name: delete_numbers_of
-- For installations that have no other receiver.
with gone as (
    select installation_id
    from forgotten_receiver
    where receiver_id = any ($receiver_ids::bigint[])
      and installation_id not in (select installation_id from receiver where installation_id is not null)
),
lost as (
    delete from lost_report where installation_id in (select installation_id from gone)
)
delete from report_run where installation_id in (select installation_id from gone)

-- Rows beside receipts. Failures are deleted with their receipt; reports of envelopes have a time of their own. Each
-- statement deletes from one table, because on a cluster these tables are of several kinds.

-- name: delete_failures
delete from failure f
where f.receiver_id = any ($receiver_ids::bigint[]) and not exists (
    select 1
    from receipt r
    where r.sent_at = f.sent_at and r.channel_id = f.channel_id and r.message_id = f.message_id
      and r.receiver_id = f.receiver_id
)

-- name: delete_unnamed
delete from unreadable_envelope
where receiver_id = any ($receiver_ids::bigint[])
  and created_at >= $since_ms::bigint and created_at < $before_ms::bigint

-- name: delete_told
delete from envelope_event
where receiver_id = any ($receiver_ids::bigint[])
  and created_at >= $since_ms::bigint and created_at < $before_ms::bigint

-- name: delete_reports
delete from membership_report
where receiver_id = any ($receiver_ids::bigint[])
  and created_at >= $since_ms::bigint and created_at < $before_ms::bigint

-- name: silence
update receiver
set last_heartbeat_minute = null
where receiver_id = any ($receiver_ids::bigint[]) and last_heartbeat_minute >= $since_ms::bigint / 60000 * 60000

-- name: doubt
insert into doubted_receiver (receiver_id) select unnest($receiver_ids::bigint[])
on conflict do nothing

-- name: respan
-- Sets the spans of memberships by the receipts that are left. A first_sent_at before oldest_day_kept comes from
-- cleaned samples, so it cannot be checked any more, and stays.
update membership m
set first_sent_at = case when m.first_sent_at < $oldest_day_kept::bigint then m.first_sent_at else l.first_sent_at end,
    last_sent_minute = coalesce(
        l.last_sent_at / 60000 * 60000,
        case when m.first_sent_at < $oldest_day_kept::bigint then least(m.last_sent_minute, $oldest_day_kept::bigint) end
    ),
    has_said = m.had_stays or exists (
        select 1 from membership_report s where s.channel_id = m.channel_id and s.receiver_id = m.receiver_id
    )
from membership k
left join (
    select channel_id, receiver_id, min(sent_at) as first_sent_at, max(sent_at) as last_sent_at
    from receipt
    where receiver_id = any ($receiver_ids::bigint[]) and state < 4096
    group by channel_id, receiver_id
) l using (channel_id, receiver_id)
where k.receiver_id = any ($receiver_ids::bigint[]) and m.channel_id = k.channel_id and m.receiver_id = k.receiver_id

-- name: delete_unspanned
delete from membership
where receiver_id = any ($receiver_ids::bigint[]) and first_sent_at is null and not has_said

-- name: reopen_windows
-- As if samples that are not late had just come. So all windows over days that are kept are computed again, also
-- settled ones.
update arrival set arrived_at = $now_minute::bigint, arrived_on_time_at = $now_minute::bigint
