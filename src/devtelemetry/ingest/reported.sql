-- name: write_membership_reports
-- All reports of joining and leaving are kept, because only their replay shows what they mean (aggregate/stays.py).
with reported as (
    select *
    from unnest(
        $channel_ids::bigint[], $receiver_ids::bigint[], $created_at::bigint[], $joined_at::bigint[], $left_at::bigint[]
    ) as n (channel_id, receiver_id, created_at, joined_at, left_at)
),
said as (
    insert into membership (channel_id, receiver_id, has_said)
    select distinct channel_id, receiver_id, true from reported order by channel_id, receiver_id
    on conflict (channel_id, receiver_id) do update set has_said = true where not membership.has_said
)
insert into membership_report (channel_id, receiver_id, created_at, joined_at, left_at)
select * from reported
on conflict do nothing

-- name: write_runs
-- Numbers of reports that arrived. A new run is joined to the last stored run that begins no later, if the two touch or
-- overlap; else it becomes a row of its own. If one of the two does not know a sentAt, that of the other is taken.
-- This leaves out installations that opted out or are being forgotten, because a push of rejected samples alone has no
-- receiver that was looked up.
with arrived as (
    select *
    from unnest(
        $installation_ids::bigint[], $first_sequences::bigint[], $last_sequences::bigint[], $first_sent_at::bigint[],
        $last_sent_at::bigint[]
    ) as n (installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at)
    where not exists (select 1 from opt_out o where o.installation_id = n.installation_id)
      and not exists (select 1 from forgotten_receiver f where f.installation_id = n.installation_id)
),
grown as (
    update report_run r
    set first_sent_at = case
            when n.first_sequence = r.first_sequence then least(r.first_sent_at, n.first_sent_at)
            else coalesce(r.first_sent_at, n.first_sent_at) end,
        last_sent_at = case
            when n.last_sequence = r.last_sequence then greatest(r.last_sent_at, n.last_sent_at)
            when n.last_sequence > r.last_sequence then coalesce(n.last_sent_at, r.last_sent_at)
            else coalesce(r.last_sent_at, n.last_sent_at) end,
        last_sequence = greatest(r.last_sequence, n.last_sequence)
    from (
        select distinct on (a.installation_id, stored_sequence) a.*, stored_sequence
        from arrived a
        cross join lateral (
            select max(k.first_sequence) as stored_sequence
            from report_run k
            where k.installation_id = a.installation_id and k.first_sequence <= a.first_sequence
        ) k
        order by a.installation_id, stored_sequence, a.first_sequence
    ) n
    where r.installation_id = n.installation_id and r.first_sequence = n.stored_sequence
      and r.last_sequence >= n.first_sequence - 1
    returning n.installation_id, n.first_sequence
)
insert into report_run (installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at)
select a.installation_id, a.first_sequence, a.last_sequence, a.first_sent_at, a.last_sent_at
from arrived a
where not exists (
    select 1 from grown g where g.installation_id = a.installation_id and g.first_sequence = a.first_sequence
)
order by a.installation_id, a.first_sequence
-- Another server may have inserted it meanwhile.
on conflict (installation_id, first_sequence) do update
set first_sent_at = least(report_run.first_sent_at, excluded.first_sent_at),
    last_sent_at = case
        when excluded.last_sequence = report_run.last_sequence
        then greatest(report_run.last_sent_at, excluded.last_sent_at)
        when excluded.last_sequence > report_run.last_sequence
        then coalesce(excluded.last_sent_at, report_run.last_sent_at)
        else coalesce(report_run.last_sent_at, excluded.last_sent_at) end,
    last_sequence = greatest(report_run.last_sequence, excluded.last_sequence)

-- name: write_coarse
insert into coarse_receiver (channel_id, receiver_id, since_at, one_in, until_at)
select *
from unnest(
    $channel_ids::bigint[], $receiver_ids::bigint[], $since_at::bigint[], $one_in::integer[], $until_at::bigint[]
) as n (channel_id, receiver_id, since_at, one_in, until_at)
order by channel_id, receiver_id, since_at, one_in
on conflict (channel_id, receiver_id, since_at, one_in) do update
set until_at = excluded.until_at where coarse_receiver.until_at < excluded.until_at

-- name: write_lost
-- Leaves out installations that opted out or are being forgotten, as write_runs does.
insert into lost_report (installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at)
select n.*
from unnest(
    $installation_ids::bigint[], $first_sequences::bigint[], $last_sequences::bigint[], $first_sent_at::bigint[],
    $last_sent_at::bigint[]
) as n (installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at)
where not exists (select 1 from opt_out o where o.installation_id = n.installation_id)
  and not exists (select 1 from forgotten_receiver f where f.installation_id = n.installation_id)
on conflict do nothing

-- name: write_wrong_times
-- If there are `most` rows, times of a new platform and version are counted under empty names.
insert into wrong_time as w (day_start, platform, app_version, times)
select $day_start::bigint, platform, app_version, sum(times)
from (
    select
        case when is_full then '' else platform end as platform,
        case when is_full then '' else app_version end as app_version,
        times
    from unnest($platforms::text[], $app_versions::text[], $times::bigint[]) as n (platform, app_version, times)
    cross join lateral (
        select (select count(*) from wrong_time) >= $most::integer and not exists (
            select 1 from wrong_time k
            where (k.day_start, k.platform, k.app_version) = ($day_start::bigint, n.platform, n.app_version)
        ) as is_full
    ) known
) named
group by platform, app_version
order by platform, app_version
on conflict (day_start, platform, app_version) do update set times = w.times + excluded.times
