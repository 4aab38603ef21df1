alter table receiver
    add column server text not null default '',
    add column server_minute bigint not null default 0;

create table lost_report (
    installation_id  bigint not null,
    first_sequence   bigint not null,
    last_sequence    bigint not null,
    first_sent_at    bigint not null,
    last_sent_at     bigint not null,
    primary key (installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at)
);
