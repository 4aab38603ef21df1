create table deployment (
    singleton     boolean primary key default true check (singleton),
    id_key        bytea   not null check (length(id_key) = 32),
    ingest_epoch  bigint  not null default 0
);

create table channel (
    channel_id   bigint primary key,
    external_id  text   not null
);

create table sample_kind (
    kind          integer primary key,
    source        text not null,
    message_type  text not null
);

create table receiver (
    receiver_id             bigint primary key,
    owner_id                bigint not null,
    installation_id         bigint,
    platform                text   not null default '',
    app_version             text   not null default '',
    described_at            bigint not null,
    last_receipt_minute     bigint,
    last_heartbeat_minute   bigint
);
create index receiver_owner on receiver (owner_id);
create index receiver_installation on receiver (installation_id);

create table message (
    channel_id    bigint  not null,
    message_id    bigint  not null,
    sent_at       bigint  not null,
    created_at    bigint  not null,
    kind          integer not null,
    message_size  bigint,
    external_id   text    not null,
    envelope_id   text    not null,
    topics        bytea   not null,
    primary key (channel_id, message_id)
);

create table receipt (
    channel_id        bigint  not null,
    message_id        bigint  not null,
    receiver_id       bigint  not null,
    sent_at           bigint  not null,
    created_at        bigint,
    received_at       bigint,
    kind              integer not null,
    sent_by_receiver  boolean not null,
    primary key (sent_at, channel_id, message_id, receiver_id) include (kind, sent_by_receiver, created_at)
) partition by range (sent_at);

create table membership (
    channel_id         bigint not null,
    receiver_id        bigint not null,
    first_sent_minute  bigint not null,
    last_sent_minute   bigint not null,
    primary key (channel_id, receiver_id)
) with (fillfactor = 70);

create table message_envelope (
    channel_id   bigint not null,
    message_id   bigint not null,
    envelope_id  bigint not null,
    created_at   bigint not null,
    primary key (channel_id, envelope_id, message_id)
);
create index message_envelope_envelope on message_envelope (envelope_id);

create table sent_envelope (
    envelope_id  bigint not null,
    receiver_id  bigint not null,
    created_at   bigint not null,
    primary key (envelope_id, receiver_id)
);

create table event (
    recorded_at      bigint not null,
    event_id         bigint not null,
    event_type       text   not null,
    owner_id         bigint,
    installation_id  bigint,
    body             jsonb  not null,
    primary key (recorded_at, event_id)
) partition by range (recorded_at);

create table arrival (
    sent_minute         bigint primary key,
    arrived_at          bigint not null,
    arrived_on_time_at  bigint
);

create table moved_message (
    channel_id  bigint not null,
    message_id  bigint not null,
    moved_from  bigint not null,
    primary key (channel_id, message_id, moved_from)
);
create table doubted_receiver (
    receiver_id  bigint primary key
);

create table cleaned_day (
    day_start  bigint primary key
);

create table reliability_window (
    timeframe     text             not null,
    window_start  timestamptz      not null,
    window_end    timestamptz      not null,
    membership    text             not null check (membership in ('present', 'window', 'bracketed')),
    state         text             not null check (state in ('provisional', 'settled')),
    reliability   double precision,
    messages      bigint           not null,
    receivers     bigint           not null,
    expected      bigint           not null,
    missing       bigint           not null,
    corroborated  bigint           not null,
    unknown       bigint           not null,
    revision      integer          not null,
    computed_at   timestamptz      not null,
    primary key (timeframe, window_start, membership)
);

create table reliability_channel (
    channel_id    bigint      not null,
    timeframe     text        not null,
    window_start  timestamptz not null,
    membership    text        not null,
    messages      bigint      not null,
    receivers     bigint      not null,
    expected      bigint      not null,
    missing       bigint      not null,
    corroborated  bigint      not null,
    unknown       bigint      not null,
    primary key (timeframe, window_start, membership, channel_id)
);
create index reliability_channel_history on reliability_channel (channel_id, timeframe, window_start);

create table token (
    name        text        primary key,
    scope       text        not null check (scope in ('ingest', 'read')),
    hash        bytea       not null unique,
    created_at  timestamptz not null,
    revoked_at  timestamptz
);

-- The secret of all ids: 244 random bits of the database's strong generator, made once.
insert into deployment (id_key) values (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
