create table opt_out (
    installation_id  bigint primary key,
    forgotten_at     bigint not null
);

create table forgotten_receiver (
    receiver_id      bigint primary key,
    owner_id         bigint not null,
    installation_id  bigint
);
