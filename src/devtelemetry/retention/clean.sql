-- name: has_receipts
select exists (select 1 from receipt where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint)

-- name: delete_messages
delete from message where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint

-- name: delete_failures
delete from failure where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint

-- name: delete_arrivals
delete from arrival where sent_minute >= $start_ms::bigint and sent_minute < $end_ms::bigint

-- Reports about envelopes are of no use without the messages, whose samples are gone.

-- name: delete_message_envelopes
delete from message_envelope where created_at < $before_ms::bigint

-- name: delete_unreadable_envelopes
delete from unreadable_envelope where created_at < $before_ms::bigint

-- name: delete_envelope_events
delete from envelope_event where created_at < $before_ms::bigint

-- name: settle_lost
-- Deletes reports of lost numbers. If their time is before oldest_day_kept, the first day that is not dropped, they
-- make no hole any more. Then the numbers become a run without a time, as if the samples had been rejected. So nothing
-- is missing between the runs around them, and all these runs are deleted together. But not while a later report of the
-- same numbers makes a hole, which the run would close. Reports whose numbers all arrived after all are deleted now,
-- because that is no longer known once the runs are deleted.
with arrived as (
    select installation_id, range_agg(int8range(first_sequence, last_sequence, '[]')) as numbers
    from report_run
    where installation_id in (select installation_id from lost_report)
    group by installation_id
),
gone as (
    delete from lost_report l
    where exists (
            select 1
            from arrived a
            where a.installation_id = l.installation_id
              and a.numbers @> int8range(l.first_sequence, l.last_sequence, '[]')
        )
        or (
            l.last_sent_at < $oldest_day_kept::bigint
            and not exists (
                select 1
                from lost_report other
                where other.installation_id = l.installation_id and other.last_sent_at >= $oldest_day_kept::bigint
                  and other.first_sequence <= l.last_sequence and other.last_sequence >= l.first_sequence
            )
        )
    returning l.installation_id, l.first_sequence, l.last_sequence
)
insert into report_run (installation_id, first_sequence, last_sequence)
select installation_id, first_sequence, max(last_sequence)
from gone
group by installation_id, first_sequence
on conflict (installation_id, first_sequence) do update
set last_sequence = greatest(report_run.last_sequence, excluded.last_sequence)

-- name: delete_runs
-- Deletes runs of numbers that do not affect the days from oldest_day_kept on. For each installation these are all runs
-- up to the last one that ends before that day and whose following hole ends before it, too. The last run of an
-- installation stays, because a hole may begin there.
with run as (
    select
        installation_id,
        first_sequence,
        max(last_sent_at) over by_number as ends_at,
        lead(first_sent_at) over by_number as goes_on_at
    from report_run
    window by_number as (partition by installation_id order by first_sequence)
),
cut as (
    select installation_id, max(first_sequence) as first_sequence
    from run
    where coalesce(ends_at, 0) < $oldest_day_kept::bigint and goes_on_at < $oldest_day_kept::bigint
    group by installation_id
)
delete from report_run r
using cut
where r.installation_id = cut.installation_id and r.first_sequence <= cut.first_sequence

-- name: remember_cleaned
insert into cleaned_day (day_start) values ($day_start::bigint)
on conflict do nothing

-- name: delete_opt_outs
delete from opt_out where forgotten_at < $before_ms::bigint

-- name: delete_sampling_rules
-- Rules that were replaced by a later rule of their channel before the first day that is kept.
delete from sampling_rule r
where exists (
    select 1 from sampling_rule later
    where later.channel_id = r.channel_id and later.from_at > r.from_at and later.from_at <= $before_ms::bigint
)

-- name: delete_coarse_receivers
delete from coarse_receiver where until_at < $before_ms::bigint

-- name: delete_bytes
delete from installation_bytes where day_start < $before_ms::bigint

-- name: forget_origins
-- The network and token of a receiver are kept as long as its samples.
update receiver
set bucket_id = null, token = '', origin_minute = 0
where origin_minute > 0 and origin_minute < $before_ms::bigint

-- name: has_silent_receivers
select exists (select 1 from receiver where {last_heard_of} < $before_ms::bigint)

-- name: expire_receivers
-- Deletes receivers that were silent since then; no samples of theirs are kept. Returns them, because the number of
-- rows that a cluster reports is not that of the deleted ones.
delete from receiver
where {last_heard_of} < $before_ms::bigint
returning receiver_id, installation_id

-- name: expire_memberships
with reports as (
    delete from membership_report where receiver_id = any ($receiver_ids::bigint[])
),
coarse as (
    delete from coarse_receiver where receiver_id = any ($receiver_ids::bigint[])
)
delete from membership where receiver_id = any ($receiver_ids::bigint[])

-- name: expire_named
delete from receiver_kind where receiver_id = any ($receiver_ids::bigint[])

-- name: expire_installations
-- Deletes what else is known about installations that have no receiver any more.
with gone as (
    select installation_id
    from unnest($installation_ids::bigint[]) as n (installation_id)
    where not exists (select 1 from receiver where receiver.installation_id = n.installation_id)
),
runs as (
    delete from report_run where installation_id in (select installation_id from gone)
),
lost as (
    delete from lost_report where installation_id in (select installation_id from gone)
)
delete from corroborated_installation where installation_id in (select installation_id from gone)
