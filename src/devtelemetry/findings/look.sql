-- For look.py: counts that show faults in how apps report. They come from the latest receipts of a span, up to a limit,
-- and from what is stored of the receivers and channels of these receipts. One row for each platform and app version.

-- name: read_receipts
-- in   start_ms, end_ms    of the span of sentAt, Unix ms, half-open
--      most                how many receipts are looked at: the latest ones
--      unmeasured_kinds    integer[]: kinds of messages that are not looked at
--      unmeasured_patterns text[]: LIKE patterns of channels that are not looked at
create temp table looked on commit drop as
select l.*, r.platform, r.app_version
from (
    select channel_id, message_id, receiver_id, sent_at, state, sent_by_receiver, received_at, vote
    from whole_receipt
    where sent_at >= $start_ms::bigint and sent_at < $end_ms::bigint and kind <> all ($unmeasured_kinds::integer[])
    order by sent_at desc
    limit $most::integer
) l
join receiver r on r.receiver_id = l.receiver_id
join channel c on c.channel_id = l.channel_id
where not c.external_id like any ($unmeasured_patterns::text[])

-- name: index_receipts
create index on looked (channel_id, sent_at);
create index on looked (message_id, receiver_id);
analyze looked

-- name: read_channels
-- The busiest channels: how many messages they have, and when these were sent.
create temp table looked_channel on commit drop as
select
    channel_id,
    count(*) as messages,
    min(sent_at) as first_at,
    max(sent_at) as last_at,
    (array_agg(sent_at order by sent_at))[5] as early_at,       -- of the fifth message
    (array_agg(sent_at order by sent_at desc))[5] as late_at    -- of the fifth message from the end
from (select channel_id, message_id, min(sent_at) as sent_at from looked group by channel_id, message_id) message
group by channel_id
having count(*) >= 5
order by messages desc, channel_id
limit $most_channels::integer

-- name: read_memberships
create temp table looked_membership on commit drop as
select
    m.*, r.platform, r.app_version,
    greatest(r.last_receipt_minute, r.last_heartbeat_minute) as reported_minute
from (
    select c.*, m.receiver_id, m.has_said, m.first_sent_at as first_held_at, m.last_sent_minute as last_held_minute
    from looked_channel c
    join membership m on m.channel_id = c.channel_id
    limit $most::integer
) m
join receiver r on r.receiver_id = m.receiver_id

-- name: read_reports
create temp table looked_report on commit drop as
select
    channel_id, receiver_id,
    min(created_at) as said_at,
    max(left_at) as left_at,
    count(distinct left_at) filter (where left_at >= $start_ms::bigint and left_at < $end_ms::bigint) as times_left
from (
    select p.*
    from looked_channel c
    join membership_report p on p.channel_id = c.channel_id
    limit $most::integer
) p
group by channel_id, receiver_id

-- name: ids_differ
-- A message is alone if only one receiver knows it, and its author did not report that sending failed. It has a twin if
-- the channel has another message of about the same time that this receiver does not know: perhaps the same message
-- under another id. For each platform and version there is one row for what it wrote and one for what it got.
with message as (
    select
        channel_id, message_id,
        count(*) = 1 and coalesce(bit_or(state), 0) & 1536 = 0 as is_lone,
        min(receiver_id) as receiver_id,
        coalesce(min(received_at) filter (where sent_by_receiver), min(sent_at)) as at
    from looked
    group by channel_id, message_id
),
of_version as (
    select
        l.platform, l.app_version, l.sent_by_receiver, m.channel_id,
        count(*) as messages,
        count(*) filter (where is_lone) as lone
    from looked l
    join message m using (channel_id, message_id)
    group by l.platform, l.app_version, l.sent_by_receiver, m.channel_id
    having count(*) >= 10
),
suspect as (
    select * from of_version where 2 * lone >= messages order by lone desc limit $most_suspects::integer
),
lone_message as (
    select s.platform, s.app_version, s.sent_by_receiver, s.channel_id, m.receiver_id, m.at
    from suspect s
    cross join lateral (
        select m.*
        from message m
        join looked l on l.message_id = m.message_id and l.receiver_id = m.receiver_id and l.channel_id = m.channel_id
        where m.channel_id = s.channel_id and m.is_lone
          and (l.platform, l.app_version, l.sent_by_receiver) = (s.platform, s.app_version, s.sent_by_receiver)
        order by m.message_id
        limit 20
    ) m
),
with_twin as (
    select
        platform, app_version, sent_by_receiver, channel_id,
        count(*) as looked_at,
        count(*) filter (where exists (
            select 1
            from looked other
            where other.channel_id = one.channel_id
              and other.sent_at between one.at - $twin_ms::bigint and one.at + $twin_ms::bigint
              and not exists (
                  select 1 from looked own
                  where own.message_id = other.message_id and own.receiver_id = one.receiver_id
                    and own.channel_id = other.channel_id
              )
        )) as twins
    from lone_message one
    group by platform, app_version, sent_by_receiver, channel_id
)
select
    v.platform, v.app_version,
    count(*) as of_channels,
    count(*) filter (where 2 * twins >= looked_at) as channels,
    coalesce(sum(messages) filter (where 2 * twins >= looked_at), 0)::bigint as messages,
    coalesce(sum(lone) filter (where 2 * twins >= looked_at), 0)::bigint as lone,
    coalesce(sum(looked_at) filter (where 2 * twins >= looked_at), 0)::bigint as looked_at,
    coalesce(sum(twins) filter (where 2 * twins >= looked_at), 0)::bigint as twins,
    (array_agg(v.channel_id order by lone desc, v.channel_id) filter (where 2 * twins >= looked_at))[1] as channel_id
from of_version v
left join with_twin t using (platform, app_version, sent_by_receiver, channel_id)
group by v.platform, v.app_version, v.sent_by_receiver

-- name: clocks_mixed
-- Looks at messages with several samples by the message's best clock, and counts the samples that give another time
-- than the message's. A few ms are rounding. Messages that only receivers' own clocks date say nothing and are left
-- out.
with message_of_look as (
    select channel_id, message_id
    from looked
    group by channel_id, message_id
    having count(*) > 1
    order by message_id
    limit $most_messages::integer
),
by_best_clock as (
    select l.*, coalesce(abs(l.vote[3] - l.sent_at), 0) as apart, count(*) over (partition by channel_id, message_id) as votes
    from message_of_look
    join looked l using (channel_id, message_id)
    cross join lateral (
        select clock from message m where m.channel_id = l.channel_id and m.message_id = l.message_id
    ) m
    where l.state < 4096 and m.clock < 2 and (l.vote is null or l.vote[1] = m.clock)
)
select
    platform, app_version,
    count(*) filter (where not sent_by_receiver) as receivers_said,
    count(*) filter (where not sent_by_receiver and apart > 2) as receivers_apart,
    count(*) filter (where sent_by_receiver) as authors_said,
    count(*) filter (where sent_by_receiver and apart > 2) as authors_apart,
    coalesce(percentile_disc(0.5) within group (order by apart) filter (where apart > 2), 0)::bigint as median_ms,
    mode() within group (order by channel_id) filter (where apart > 2) as channel_id
from by_best_clock
where votes > 1
group by platform, app_version

-- name: not_milliseconds
select platform, app_version, sum(times)::bigint as times, null::bigint as channel_id
from wrong_time
where day_start > $start_ms::bigint - 86400000 and day_start < $end_ms::bigint
group by platform, app_version

-- name: never_leaves
-- Receivers that report being in twenty channels or more, still reported after the last message there, and know no
-- message of at least nine in ten of these channels.
with claim as (
    select m.*, exists (
        select 1 from looked l
        where l.channel_id = m.channel_id and l.receiver_id = m.receiver_id
    ) as knows_something
    from looked_membership m
    join looked_report p using (channel_id, receiver_id)
    where p.left_at = 0 and p.said_at <= m.first_at and m.reported_minute >= m.last_at
),
of_receiver as (
    select
        receiver_id, platform, app_version,
        count(*) as claimed,
        count(*) filter (where not knows_something) as empty,
        min(channel_id) filter (where not knows_something) as channel_id
    from claim
    group by receiver_id, platform, app_version
)
select
    platform, app_version,
    count(*) as receivers,
    sum(claimed)::bigint as claimed,
    sum(empty)::bigint as empty,
    min(channel_id) as channel_id
from of_receiver
where claimed >= 20 and 10 * empty >= 9 * claimed
group by platform, app_version

-- name: leaves_too_often
select
    m.platform, m.app_version,
    count(*) as memberships,
    count(*) filter (where p.times_left >= 3) as flapping,
    mode() within group (order by channel_id) filter (where p.times_left >= 3) as channel_id
from looked_membership m
join looked_report p using (channel_id, receiver_id)
group by m.platform, m.app_version

-- name: membership_not_said
-- began: the receiver's first receipt of all is of a message after the channel's first five. ended: five messages were
-- sent after its last receipt, and it still reports.
select
    platform, app_version,
    count(*) as memberships,
    count(*) filter (where not has_said) as unsaid,
    count(*) filter (where not has_said and began) as began,
    count(*) filter (where not has_said and ended) as ended,
    mode() within group (order by channel_id) filter (where not has_said and (began or ended)) as channel_id
from (
    select
        *,
        first_held_at > early_at as began,
        last_held_minute + 60000 <= late_at and reported_minute >= last_at as ended
    from looked_membership
) membership
group by platform, app_version

-- name: many_keys
-- Installations that report under more keys than a person has accounts.
select
    platform, app_version,
    count(*) as reporters,
    sum(names)::bigint as names,
    max(names) as most,
    null::bigint as channel_id
from (
    select max(platform) as platform, max(app_version) as app_version, count(*) as names
    from receiver
    where installation_id is not null
      and (last_receipt_minute >= $since::bigint or last_heartbeat_minute >= $since::bigint)
    group by installation_id
    having count(*) > $most_names::integer
) reporter
group by platform, app_version

-- name: many_installations
-- Keys that report from more installations than a person has devices. Audits are left out, because all share one key.
select
    platform, app_version,
    count(*) as reporters,
    sum(names)::bigint as names,
    max(names) as most,
    null::bigint as channel_id
from (
    select max(platform) as platform, max(app_version) as app_version, count(*) as names
    from receiver
    where (last_receipt_minute >= $since::bigint or last_heartbeat_minute >= $since::bigint) and platform <> 'audit'
    group by owner_id
    having count(*) > $most_names::integer
) reporter
group by platform, app_version

-- name: sending_not_said
with of_version as (
    select
        platform, app_version,
        count(distinct receiver_id) as receivers,
        count(*) filter (where not sent_by_receiver) as receipts,
        count(*) filter (where sent_by_receiver) as sent,
        mode() within group (order by channel_id) as channel_id
    from looked
    group by platform, app_version
)
select
    *,
    (sum(sent) over () - sent)::bigint as sent_by_others,
    (sum(receipts) over () - receipts)::bigint as receipts_of_others
from of_version

-- name: history_as_live
-- A burst is five or more messages that came within ten seconds, were sent over a minute or more, and came more than
-- five minutes late.
select
    platform, app_version,
    count(*) as bursts,
    sum(receipts)::bigint as receipts,
    min(channel_id) as channel_id
from (
    select platform, app_version, count(*) as receipts, min(channel_id) as channel_id
    from looked
    where state < 2048 and state & 96 = 32 and not sent_by_receiver and received_at - sent_at > 300000
    group by receiver_id, platform, app_version, received_at / 10000
    having count(*) >= 5 and max(sent_at) - min(sent_at) >= 60000
) burst
group by platform, app_version

-- name: store
-- Stores the findings of a look. Deletes earlier findings that it did not find again, unless they are from a look with
-- a later end. Returns the stored findings and whether each is new.
with found as (
    select *
    from unnest(
        $kinds::text[], $platforms::text[], $app_versions::text[], $channel_ids::bigint[], $evidence::text[]
    ) as f (kind, platform, app_version, channel_id, evidence)
),
gone as (
    delete from finding g
    where found_until <= $end::timestamptz
      and not exists (
          select 1 from found f
          where (f.kind, f.platform, f.app_version) = (g.kind, g.platform, g.app_version)
      )
)
insert into finding as old (kind, platform, app_version, channel_id, evidence, found_first, found_until)
select kind, platform, app_version, channel_id, evidence::jsonb, $now::timestamptz, $end::timestamptz
from found
order by kind, platform, app_version
on conflict (kind, platform, app_version) do update
set channel_id = excluded.channel_id, evidence = excluded.evidence, found_until = excluded.found_until
where old.found_until <= excluded.found_until
returning kind, platform, app_version, xmax = 0 as is_new

-- name: forget_wrong_times
delete from wrong_time where day_start < $before::bigint

-- name: channel_names
select channel_id, external_id from channel where channel_id = any ($channel_ids::bigint[])

-- name: findings
select f.*, c.external_id
from finding f
left join channel c on c.channel_id = f.channel_id
order by f.kind, f.platform, f.app_version

-- name: newest
-- A value that changes when the findings may have changed.
select max(found_until)::text || ' ' || count(*) || ' ' || md5(string_agg(evidence::text, ' ' order by kind, platform, app_version))
from finding
