create table membership_report (
    channel_id   bigint not null,
    receiver_id  bigint not null,
    created_at   bigint not null,
    joined_at    bigint not null,
    left_at      bigint not null,
    primary key (channel_id, receiver_id, created_at, joined_at, left_at)
);

-- Joining and leaving that were said at one time were one report. Leaving: NULL was "still in".
insert into membership_report (channel_id, receiver_id, created_at, joined_at, left_at)
select
    channel_id, receiver_id, joined_said_at, joined_at,
    case when left_said_at = joined_said_at then coalesce(left_at, 0) else 0 end
from membership
where joined_said_at is not null
union all
select channel_id, receiver_id, left_said_at, 0, coalesce(left_at, 0)
from membership
where left_said_at is not null and left_said_at is distinct from joined_said_at;

alter table membership
    add column has_said boolean not null default false,
    add column had_stays boolean not null default false;
update membership set has_said = true where joined_said_at is not null or left_said_at is not null;
alter table membership
    drop column joined_at,
    drop column joined_said_at,
    drop column left_at,
    drop column left_said_at;

-- To the millisecond, as far as the first receipt is still there.
alter table membership rename column first_sent_minute to first_sent_at;
update membership m
set first_sent_at = r.first_sent_at
from (
    select channel_id, receiver_id, min(sent_at) as first_sent_at
    from receipt
    where created_at is not null
    group by channel_id, receiver_id
) r
where m.channel_id = r.channel_id and m.receiver_id = r.receiver_id
  and r.first_sent_at between m.first_sent_at + 1 and m.first_sent_at + 59999;
