-- Samples out of the database. In they go by ingest's own queries.

-- name: try_hold_windows
-- Until this connection is given back, no window is computed of a file that is only half there.
select pg_try_advisory_lock_shared($namespace, $lock)

-- name: hold_windows
-- The same, after the windows that are being computed now.
select pg_advisory_lock_shared($namespace, $lock)

-- name: is_only_import
-- Whether nobody else holds the lock, which this session holds shared.
select pg_try_advisory_xact_lock($namespace, $lock)

-- name: drop_unreported
-- never: the created_at of a message that is only known by authors' marks. Returns how many marks went.
with unreported as (
    delete from message m where {said_first_at} = $never::bigint
    returning channel_id, message_id, sent_at
),
dropped as (
    delete from receipt r using unreported u
    where r.sent_at = u.sent_at and r.channel_id = u.channel_id and r.message_id = u.message_id
    returning 1
)
select count(*) from dropped

-- name: samples
-- One row a sample or author's mark, by event time, in the order of receipt's key; of one outcome the first sample. The
-- message's own columns are those of its first sample; the receiver's are the last it said. Absent: what nobody told. That
-- an envelope could not be sent is of no use where it was seen. What could not be read is a sample of the messages that
-- came in its envelope; without any it is not written. receiver_ids, here and below: of these alone; NULL: of all.
-- since_ms, before_ms: only messages of which the receiver said something then first; NULL: all.
with told as (
    select
        r.sent_at, r.channel_id, r.message_id, r.receiver_id, r.kind, r.sent_by_receiver, r.vote, r.received_at,
        r.created_at, 0 as outcome, '' as reason, r.state >> 5 & 3 as via,
        case when $since_ms::bigint is not null then {first_said_at} end as first_said_at
    from whole_receipt r
    where r.created_at is not null or r.state >= 4096 and r.state & 1024 = 0
    union all
    select
        r.sent_at, r.channel_id, r.message_id, r.receiver_id, r.kind, r.sent_by_receiver, r.vote,
        case when r.created_at is null and f.outcome = 3 then r.received_at end,
        case when f.outcome < 4 then f.created_at end, least(f.outcome, 3), f.reason, 0,
        case when $since_ms::bigint is not null then {first_said_at} end
    from failure f
    join whole_receipt r using (sent_at, channel_id, message_id, receiver_id)
)

select
    coalesce(r.vote[3], r.sent_at) as sent_at, coalesce(r.vote[1], m.clock) as clock,
    r.created_at, r.received_at, r.sent_by_receiver, r.outcome, r.reason, r.via,
    m.external_id as message, m.envelope_id, m.topics, m.message_size,
    c.external_id as channel,
    r.receiver_id, v.owner_id, v.installation_id, v.platform, v.app_version, v.server,
    k.source, k.message_type,
    (
        select max(one_in)
        from coarse_receiver x
        where x.channel_id = r.channel_id and x.receiver_id = r.receiver_id
          and r.sent_at >= x.since_at and r.sent_at <= x.until_at
    ) as one_in
from told r
join whole_message m on m.channel_id = r.channel_id and m.message_id = r.message_id
join channel c on c.channel_id = r.channel_id
join receiver v on v.receiver_id = r.receiver_id
join sample_kind k on k.kind = r.kind
where (r.created_at is not null or r.outcome = 0 or not m.went_out)
  and ($receiver_ids::bigint[] is null or r.receiver_id = any ($receiver_ids::bigint[]))
  and ($since_ms::bigint is null or r.first_said_at >= $since_ms::bigint and r.first_said_at < $before_ms::bigint)
order by r.sent_at, r.channel_id, r.message_id, r.receiver_id, r.outcome

-- name: rules
-- Of how many messages clients were to report one.
select d.sampling_salt, r.one_in, r.from_at, c.external_id as channel
from sampling_rule r
cross join deployment d
left join channel c on c.channel_id = r.channel_id
where r.channel_id = 0 or c.channel_id is not null
order by r.channel_id <> 0, r.channel_id, r.from_at

-- name: islands
-- Which numbers of each installation's samples arrived. Islands, not rows: how those were cut says nothing.
select installation_id, first_sequence, last_sequence, begins_at as first_sent_at, ends_at as last_sent_at
from report_island
where $receiver_ids::bigint[] is null
   or installation_id in (select installation_id from receiver where receiver_id = any ($receiver_ids::bigint[]))
order by installation_id, first_sequence

-- name: lost
-- Which of them are said to be lost.
select installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at
from lost_report
where $receiver_ids::bigint[] is null
   or installation_id in (select installation_id from receiver where receiver_id = any ($receiver_ids::bigint[]))
order by installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at

-- name: memberships
-- What receivers said of joining and leaving, as far as it is kept.
select
    c.external_id as channel, s.receiver_id, v.owner_id, v.installation_id, s.created_at, s.joined_at, s.left_at
from membership_report s
join channel c on c.channel_id = s.channel_id
join receiver v on v.receiver_id = s.receiver_id
where ($receiver_ids::bigint[] is null or s.receiver_id = any ($receiver_ids::bigint[]))
  and ($since_ms::bigint is null or s.created_at >= $since_ms::bigint and s.created_at < $before_ms::bigint)
order by s.channel_id, s.receiver_id, s.created_at, s.joined_at, s.left_at
