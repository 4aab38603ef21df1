-- Dropping reports of joining and leaving: reports.py.

-- name: delete_surplus
-- Deletes all but the latest reports of each membership. Returns how many were deleted.
with surplus as (
    select channel_id, receiver_id, created_at, joined_at, left_at
    from (
        select
            *,
            row_number() over (
                partition by channel_id, receiver_id order by created_at desc, joined_at desc, left_at desc
            ) as age
        from membership_report
    ) r
    where age > $most::bigint
),
deleted as (
    delete from membership_report r
    using surplus s
    where r.channel_id = s.channel_id and r.receiver_id = s.receiver_id and r.created_at = s.created_at
      and r.joined_at = s.joined_at and r.left_at = s.left_at
    returning r.channel_id, r.receiver_id
),
remembered as (
    update membership m
    set had_stays = true
    from (select distinct channel_id, receiver_id from deleted) d
    where m.channel_id = d.channel_id and m.receiver_id = d.receiver_id and not m.had_stays
)
select count(*) from deleted

-- name: reports_before
-- The next memberships, in the order of the key, with a report from before before_ms; and all reports of each, in the
-- order in which they are replayed. Without the receivers that joined once and reported nothing else, as nearly all
-- did.
select channel_id, receiver_id, first_sent_at, had_stays, created_at, joined_at, left_at
from (
    select
        channel_id,
        receiver_id,
        array_agg(created_at order by created_at, joined_at, left_at) as created_at,
        array_agg(joined_at order by created_at, joined_at, left_at) as joined_at,
        array_agg(left_at order by created_at, joined_at, left_at) as left_at
    from membership_report
    where (channel_id, receiver_id) > ($after_channel::bigint, $after_receiver::bigint)
    group by channel_id, receiver_id
    having min(created_at) < $before_ms::bigint and (count(*) > 1 or max(left_at) > 0)
    order by channel_id, receiver_id
    limit $most::integer
) said
join membership using (channel_id, receiver_id)
order by channel_id, receiver_id

-- name: delete_reports
delete from membership_report r
using unnest(
    $channel_ids::bigint[], $receiver_ids::bigint[], $created_at::bigint[], $joined_at::bigint[], $left_at::bigint[]
) as n (channel_id, receiver_id, created_at, joined_at, left_at)
where r.channel_id = n.channel_id and r.receiver_id = n.receiver_id and r.created_at = n.created_at
  and r.joined_at = n.joined_at and r.left_at = n.left_at

-- name: remember_stays
update membership m
set had_stays = true
from unnest($channel_ids::bigint[], $receiver_ids::bigint[]) as n (channel_id, receiver_id)
where m.channel_id = n.channel_id and m.receiver_id = n.receiver_id
