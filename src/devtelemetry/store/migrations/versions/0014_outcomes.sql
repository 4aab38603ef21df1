-- What was stored says of each receipt that it is held: its state is its delay. A mark of an author has none.
drop index receipt_mark;
drop function receipt_delay(bigint, bigint, bigint);
create function receipt_state(sent_at bigint, received_at bigint, created_at bigint, said integer) returns smallint
immutable parallel safe language sql
return case
    when created_at is null then (said & 1920) + 2048 + case when said & 896 = 0 then 4096 else 0 end
    else said + case
        when received_at is null then 16 + delay_class(created_at - sent_at)
        else delay_class(received_at - sent_at)
    end
end::smallint;
alter table receipt rename column delay to state;
-- From PostgreSQL 18 on "not null" has a name, too; partitions have it from their parent.
do $$
begin
    if exists (select from pg_constraint where conname = 'receipt_delay_not_null') then
        alter table receipt rename constraint receipt_delay_not_null to receipt_state_not_null;
    end if;
end
$$;
update receipt set state = 6144 where state < 0;
create index receipt_mark on receipt (sent_at) include (channel_id, message_id, receiver_id, kind)
where state >= 4096;
alter table receipt
    add column authored_at bigint,
    add column vote bigint[],
    add column envelope_id bigint;
update receipt set authored_at = created_at where sent_by_receiver and created_at is not null;

-- The first sample of a message said when it was sent, and its type, if it said one.
alter table message
    add column clock smallint not null default 1,
    add column typed_at bigint,
    add column typed_sent_at bigint,
    add column went_out boolean not null default false;
alter table message
    alter column clock drop default,
    alter column went_out drop default;
update message m set typed_at = created_at, typed_sent_at = sent_at from sample_kind k where k.kind = m.kind and message_type <> '';

create table failure (
    sent_at      bigint   not null,
    channel_id   bigint   not null,
    message_id   bigint   not null,
    receiver_id  bigint   not null,
    outcome      smallint not null,
    created_at   bigint,
    reason       text     not null,
    primary key (sent_at, channel_id, message_id, receiver_id, outcome)
);
create index failure_receiver on failure (receiver_id);

-- Where a status-go client's receipt came from is known from here on; who sent an envelope is an event of it.
create table envelope_event (
    envelope_id      bigint   not null,
    event            smallint not null,
    installation_id  bigint   not null,
    receiver_id      bigint   not null,
    created_at       bigint   not null,
    reason           text     not null,
    primary key (envelope_id, event, installation_id, receiver_id)
);
create index envelope_event_receiver on envelope_event (receiver_id);
create table unreadable_envelope (
    envelope_id  bigint   not null,
    channel_id   bigint   not null,
    receiver_id  bigint   not null,
    created_at   bigint   not null,
    sent_at      bigint   not null,
    clock        smallint not null,
    reason       text     not null,
    primary key (envelope_id, channel_id, receiver_id)
);
create index unreadable_envelope_receiver on unreadable_envelope (receiver_id);
insert into envelope_event (envelope_id, event, installation_id, receiver_id, created_at, reason)
select envelope_id, 0, coalesce(installation_id, 0), receiver_id, created_at, ''
from sent_envelope
join receiver using (receiver_id);
drop table sent_envelope;
alter table message_envelope drop constraint message_envelope_pkey;
alter table message_envelope add primary key (channel_id, message_id, envelope_id);

-- What waits to be moved is moved here: from here on a message's sentAt changes only when its receipts move.
update receipt r
set sent_at = m.sent_at, kind = m.kind
from moved_message q
join message m using (channel_id, message_id)
where r.sent_at = q.moved_from and r.channel_id = q.channel_id and r.message_id = q.message_id
  and not exists (
      select
      from receipt other
      where other.sent_at = m.sent_at and other.channel_id = r.channel_id and other.message_id = r.message_id
        and other.receiver_id = r.receiver_id
  );
delete from receipt r
using moved_message q
join message m using (channel_id, message_id)
where r.sent_at = q.moved_from and r.channel_id = q.channel_id and r.message_id = q.message_id and r.sent_at <> m.sent_at;
create table doubted_message (
    channel_id  bigint not null,
    message_id  bigint not null,
    primary key (channel_id, message_id)
);
insert into doubted_message (channel_id, message_id) select distinct channel_id, message_id from moved_message;
drop table moved_message;

-- Of windows that are computed already nobody had said why anything is missing.
alter table reliability_window
    add column unreadable bigint not null default 0,
    add column dropped bigint not null default 0,
    add column not_sent bigint not null default 0,
    add column recovered bigint not null default 0,
    add column by_live bigint not null default 0,
    add column by_history bigint not null default 0,
    add column by_resend bigint not null default 0;
alter table reliability_window
    alter column unreadable drop default,
    alter column dropped drop default,
    alter column not_sent drop default,
    alter column recovered drop default,
    alter column by_live drop default,
    alter column by_history drop default,
    alter column by_resend drop default;
alter table reliability_channel
    add column unreadable bigint not null default 0,
    add column dropped bigint not null default 0,
    add column not_sent bigint not null default 0,
    add column recovered bigint not null default 0,
    add column by_live bigint not null default 0,
    add column by_history bigint not null default 0,
    add column by_resend bigint not null default 0;
alter table reliability_channel
    alter column unreadable drop default,
    alter column dropped drop default,
    alter column not_sent drop default,
    alter column recovered drop default,
    alter column by_live drop default,
    alter column by_history drop default,
    alter column by_resend drop default;
alter table reliability_group
    add column unreadable bigint not null default 0,
    add column dropped bigint not null default 0,
    add column not_sent bigint not null default 0,
    add column recovered bigint not null default 0,
    add column by_live bigint not null default 0,
    add column by_history bigint not null default 0,
    add column by_resend bigint not null default 0;
alter table reliability_group
    alter column unreadable drop default,
    alter column dropped drop default,
    alter column not_sent drop default,
    alter column recovered drop default,
    alter column by_live drop default,
    alter column by_history drop default,
    alter column by_resend drop default;
alter table reliability_window add column reasons jsonb;
alter table reliability_channel add column reasons jsonb;
alter table reliability_group
    drop constraint reliability_group_dimension_check,
    add constraint reliability_group_dimension_check check (dimension in (
        'platform', 'app_version', 'message_type', 'author_platform', 'author_app_version', 'path'
    ));
