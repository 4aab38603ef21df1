alter table receiver
    add column bucket_id bigint,
    add column token text not null default '',
    add column origin_minute bigint not null default 0;

-- Who reported until now did so before anybody asked for a confirmation.
create table corroborated_installation (
    installation_id  bigint primary key
);
insert into corroborated_installation (installation_id)
select distinct coalesce(installation_id, receiver_id) from receiver where last_receipt_minute is not null;

alter table reliability_window
    add column unconfirmed bigint not null default 0,
    add column silent_members bigint not null default 0;
alter table reliability_window
    alter column unconfirmed drop default,
    alter column silent_members drop default;
alter table reliability_channel
    add column unconfirmed bigint not null default 0,
    add column silent_members bigint not null default 0;
alter table reliability_channel
    alter column unconfirmed drop default,
    alter column silent_members drop default;

-- An author says when it sent a message; who only claims to be its author must not move the delays of all others.
create or replace function author_clock_offset(sent_at bigint, channel_id bigint, message_id bigint) returns setof bigint
stable parallel safe language sql
begin atomic
    select case
        when not exists (
            select
            from receipt other
            where other.sent_at = $1 and other.channel_id = $2 and other.message_id = $3 and other.sent_by_receiver
              and (abs(other.received_at - least_offset - $1) < 1000) is not true
        )
        then least_offset
    end
    from (
        select min(r.received_at) - $1 as least_offset
        from receipt r
        where r.sent_at = $1 and r.channel_id = $2 and r.message_id = $3
          and r.sent_by_receiver and abs(r.received_at - r.sent_at) >= 1000
    ) off;
end;
