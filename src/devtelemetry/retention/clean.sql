-- name: has_receipts
select exists (select 1 from receipt where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint)

-- name: delete_messages
delete from message where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint

-- name: delete_failures
delete from failure where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint

-- name: delete_arrivals
delete from arrival where sent_minute >= $start_ms::bigint and sent_minute < $end_ms::bigint

-- Both halves of what is said of envelopes are of no use without the message, whose samples are gone.

-- name: delete_message_envelopes
delete from message_envelope where created_at < $before_ms::bigint

-- name: delete_unreadable_envelopes
delete from unreadable_envelope where created_at < $before_ms::bigint

-- name: delete_envelope_events
delete from envelope_event where created_at < $before_ms::bigint

-- name: settle_lost
-- What is said to be lost of days that are gone (oldest_day_kept: the first that is not) opens no hole any more. So its
-- numbers become a run without a time, as if they had been rejected: between the reports around them nothing is missing,
-- and they go when those do. Not before a later saying of the same numbers, whose hole that would close. What arrived
-- after all goes now: once its runs are gone, nobody could tell.
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
-- Of each installation the runs up to the last one that has nothing to say of a day that is kept (oldest_day_kept: the first): it
-- and those before it end earlier, and the hole behind it ends earlier too. So its last run stays, for a hole may begin
-- there.
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
-- Those that another one of their channel took the place of before the first day that is kept.
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
-- From where a receiver reported is kept as long as its samples.
update receiver
set bucket_id = null, token = '', origin_minute = 0
where origin_minute > 0 and origin_minute < $before_ms::bigint

-- name: has_silent_receivers
select exists (select 1 from receiver where {last_heard_of} < $before_ms::bigint)

-- name: expire_receivers
-- Receivers that nobody heard of since then; no samples of theirs are kept. A cluster counts rows sent: returns them.
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
-- What is known of installations beside their receivers, if none is left.
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
