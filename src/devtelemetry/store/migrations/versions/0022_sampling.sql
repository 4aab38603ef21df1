alter table deployment add column sampling_salt bytea not null default uuid_send(gen_random_uuid());

create table sampling_rule (
    channel_id  bigint  not null,
    from_at     bigint  not null,
    one_in      integer not null,
    primary key (channel_id, from_at)
);

create table coarse_receiver (
    channel_id   bigint  not null,
    receiver_id  bigint  not null,
    since_at     bigint  not null,
    one_in       integer not null,
    until_at     bigint  not null,
    primary key (channel_id, receiver_id, since_at, one_in)
);

alter table reliability_window add column one_in bigint;
alter table reliability_window add column estimated_messages bigint;
alter table reliability_channel add column one_in bigint;
alter table reliability_channel add column estimated_messages bigint;
