alter table membership
    alter column first_sent_minute drop not null,
    alter column last_sent_minute drop not null,
    add column joined_at bigint,
    add column joined_said_at bigint,
    add column left_at bigint,
    add column left_said_at bigint;

create index membership_joined on membership (joined_at) where joined_at is not null;
create index membership_left on membership (left_at) where left_at is not null;
