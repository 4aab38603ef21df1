create table receiver_kind (
    receiver_id  bigint  not null,
    kind         integer not null,
    primary key (receiver_id, kind)
);

create table installation_bytes (
    installation_id  bigint not null,
    day_start        bigint not null,
    size_bytes       bigint not null,
    primary key (installation_id, day_start)
);

create index membership_receiver on membership (receiver_id);
