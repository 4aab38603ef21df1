-- Queries around the algorithm (reliability.sql): what is due, and what its statements need.

-- name: arrivals
-- The minutes of event time that have stored samples, and when the last samples of each came.
select sent_minute, arrived_at, arrived_on_time_at from arrival order by sent_minute

-- name: computed
-- The computed windows of a timeframe and policy, from first_start on.
select window_start, state, computed_at
from reliability_window
where timeframe = $timeframe::text and membership = $membership::text and window_start >= $first_start::timestamptz

-- name: channel_id
select channel_id from channel where external_id = $external_id::text

-- name: cleaned_days
-- All cleaned days, one row each. Read once a run, because many windows are compared with them.
select day_start from cleaned_day

-- name: kinds
-- Of all stored kinds: those that are not measured, by source and type, and those of status-go's interface.
select
    coalesce(
        array_agg(kind) filter (
            where (source, message_type) in (select * from unnest($sources::text[], $message_types::text[]))
        ), '{}'
    ) as unmeasured_kinds,
    coalesce(array_agg(kind) filter (where source = $status_go::text), '{}') as status_go_kinds
from sample_kind

-- name: hands
-- Whether any installation has several receivers, and whether enough networks are known for messages from behind one
-- network alone to be doubted.
select
    exists (
        select 1 from receiver where installation_id is not null group by installation_id having count(*) > 1
    ) as has_shared_installations,
    (
        select count(*)
        from (select distinct bucket_id from receiver where bucket_id is not null limit $fewest::integer) b
    ) >= $fewest::integer as has_many_buckets

-- name: unmeasured_channels
select channel_id, is_status_go
from channel
join unnest($patterns::text[], $pattern_is_status_go::boolean[]) as pattern (text, is_status_go)
    on external_id like pattern.text

-- name: holes
-- The holes that touch the window, for each receiver. Between two islands of an installation's numbers, reports are
-- missing. So nobody can say whether messages arrived that were sent after the end of one island (`after`) and before
-- the beginning of the next (`before`). An island without a time is skipped. Numbers that the client reports as lost do
-- not count as missing between islands. Unless all of them arrived after all, they make a hole of their own, which
-- spans the reported times, both included. Most installations have one run of numbers and lost nothing; they are left
-- out first.
with broken as (
    select installation_id from report_run group by installation_id having count(*) > 1
),
number as (
    select
        installation_id,
        range_agg(numbers) filter (where has_arrived) as arrived,
        range_agg(numbers) as accounted_for
    from (
        select installation_id, int8range(first_sequence, last_sequence, '[]') as numbers, false as has_arrived
        from lost_report
        union all
        select installation_id, int8range(first_sequence, last_sequence, '[]'), true
        from report_run
        where installation_id in (select installation_id from lost_report)
    ) said
    group by installation_id
),
island as (
    select
        i.installation_id, i.ends_at, lead(i.begins_at) over by_number as goes_on_at,
        int8range(i.last_sequence + 1, lead(i.first_sequence) over by_number) as between_them
    from broken
    cross join lateral (
        select * from report_island r where r.installation_id = broken.installation_id and r.ends_at is not null
    ) i
    window by_number as (partition by i.installation_id order by i.first_sequence)
),
hole as (
    select installation_id, least(ends_at, goes_on_at) as after, greatest(ends_at, goes_on_at) as before
    from island
    left join number using (installation_id)
    where goes_on_at is not null and (accounted_for @> between_them) is not true
    union all
    select installation_id, first_sent_at - 1, last_sent_at + 1
    from lost_report
    join number using (installation_id)
    where (arrived @> int8range(first_sequence, last_sequence, '[]')) is not true
)
select receiver_id, after, before
from hole
join receiver using (installation_id)
where after < $end_ms::bigint - 1 and before > $start_ms::bigint

-- name: measured_channels
select distinct channel_id from measured

-- name: left_out
-- The messages that are measured and not in M.
select channel_id, message_id from claimed where is_left_out

-- name: members
-- The spans of sentAt, half-open, in which it is known whether a member holds what was sent. Arrays as text, because
-- they only pass through, and text takes a quarter of the memory that numbers in Python take.
select
    coalesce(array_agg(channel_id), '{}')::text as member_channels,
    coalesce(array_agg(receiver_id), '{}')::text as member_receivers,
    coalesce(array_agg(class), '{}')::text as member_classes,
    coalesce(array_agg(coalesce(lower(span), '-9223372036854775808'::bigint)), '{}')::text as member_begins,
    coalesce(array_agg(coalesce(upper(span), 9223372036854775807)), '{}')::text as member_ends
from member
cross join lateral unnest(spans - coalesce(holes, '{}')) as span

-- name: membership_reports
-- All reports of joining and leaving these channels by receivers that are reporting, in the order in which stays.py
-- replays them, with what else it needs for that.
select channel_id, receiver_id, first_sent_at, had_stays, created_at, joined_at, left_at
from (
    select
        channel_id,
        receiver_id,
        array_agg(created_at order by created_at, joined_at, left_at) as created_at,
        array_agg(joined_at order by created_at, joined_at, left_at) as joined_at,
        array_agg(left_at order by created_at, joined_at, left_at) as left_at
    from membership_report
    where channel_id = any ($channel_ids::bigint[])
      and receiver_id in (
          select receiver_id
          from receiver
          where last_receipt_minute >= $end_ms::bigint or last_heartbeat_minute >= $end_ms::bigint
      )
    group by channel_id, receiver_id
) said
join membership using (channel_id, receiver_id)

-- name: memberships
-- How many memberships (a receiver in a channel) overlap the window, by first and last receipt.
select count(*)
from membership
where first_sent_at < $end_ms::bigint and last_sent_minute >= $start_ms::bigint

-- name: channel_names
select channel_id, external_id from channel where channel_id = any ($channel_ids::bigint[])
