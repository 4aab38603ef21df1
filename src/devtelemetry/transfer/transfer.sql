-- Queries of the export, and the locks of the import. The import stores samples by ingest's queries.

-- name: try_hold_windows
-- Until this connection is given back, no window is computed. Else a window could have half of a file.
select pg_try_advisory_lock_shared($namespace, $lock)

-- name: hold_windows
-- The same, but waits for the windows that are being computed now.
select pg_advisory_lock_shared($namespace, $lock)

-- name: is_only_import
-- Whether only this session holds the lock (shared).
select pg_try_advisory_xact_lock($namespace, $lock)

-- name: drop_unreported
-- never: the created_at of a message that is known only by authors' marks. Returns how many marks were deleted.
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
-- One row for each sample or author's mark, by event time, in the order of receipt's key. Of each outcome, the first
-- sample is stored. The columns of the message are from its first sample, those of the receiver are what it said last.
-- A failed envelope is left out if the envelope was seen after all. A sample without a message id is written for each
-- message that came in its envelope, and not at all if there is none.
-- receiver_ids, here and below: only these; NULL for all.
-- since_ms, before_ms: only messages that the receiver first reported in this span; NULL for all.
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
-- The rules of sampling: clients were to report one of how many messages.
select d.sampling_salt, r.one_in, r.from_at, c.external_id as channel
from sampling_rule r
cross join deployment d
left join channel c on c.channel_id = r.channel_id
where r.channel_id = 0 or c.channel_id is not null
order by r.channel_id <> 0, r.channel_id, r.from_at

-- name: islands
-- Which numbers of each installation's samples arrived. As islands, because how they are cut into rows means nothing.
select installation_id, first_sequence, last_sequence, begins_at as first_sent_at, ends_at as last_sent_at
from report_island
where $receiver_ids::bigint[] is null
   or installation_id in (select installation_id from receiver where receiver_id = any ($receiver_ids::bigint[]))
order by installation_id, first_sequence

-- name: lost
-- Which numbers are reported as lost.
select installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at
from lost_report
where $receiver_ids::bigint[] is null
   or installation_id in (select installation_id from receiver where receiver_id = any ($receiver_ids::bigint[]))
order by installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at

-- name: memberships
-- The reports of joining and leaving that are still kept.
select
    c.external_id as channel, s.receiver_id, v.owner_id, v.installation_id, s.created_at, s.joined_at, s.left_at
from membership_report s
join channel c on c.channel_id = s.channel_id
join receiver v on v.receiver_id = s.receiver_id
where ($receiver_ids::bigint[] is null or s.receiver_id = any ($receiver_ids::bigint[]))
  and ($since_ms::bigint is null or s.created_at >= $since_ms::bigint and s.created_at < $before_ms::bigint)
order by s.channel_id, s.receiver_id, s.created_at, s.joined_at, s.left_at
