create function author_clock_offset(sent_at bigint, channel_id bigint, message_id bigint) returns setof bigint
stable parallel safe language sql
begin atomic
    select min(r.received_at) - $1
    from receipt r
    where r.sent_at = $1 and r.channel_id = $2 and r.message_id = $3
      and r.sent_by_receiver and abs(r.received_at - r.sent_at) >= 1000;
end;

create table doubted_delay (
    sent_at     bigint not null,
    channel_id  bigint not null,
    message_id  bigint not null,
    primary key (sent_at, channel_id, message_id)
);

-- What is stored stays as it is; the first repair corrects it.
alter table receipt alter column delay drop expression;

insert into doubted_delay (sent_at, channel_id, message_id)
select distinct sent_at, channel_id, message_id
from receipt
where sent_by_receiver and abs(received_at - sent_at) >= 1000;
