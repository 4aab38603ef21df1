-- The schema as it stands, for people to read: here the deployment and who reports to it, in samples.sql what was
-- reported, in results.sql what was computed. The database is made by migrations/; a test proves that they add up to
-- these files.
--
-- Conventions
--   *_id      64-bit keyed BLAKE2b of what the wire calls that id, keyed with deployment.id_key.
--             A receiver's public key is never stored; channel and message ids are, once, in clear
--             (external_id), for the people who must find a fault.
--   *_at      Unix milliseconds, bigint. sent_at is the sender's clock, created_at the server's.
--   *_minute  Unix milliseconds rounded down to a minute. Windows begin and end on whole minutes, so
--             `sent_at < window_end` and `sent_minute < window_end` say the same, and a row that
--             holds a minute is written once a minute instead of once a sample.
--   Every key of a table that grows with the messages holds channel_id, and joins are on it: the
--   schema can be sharded by channel (docs/scaling.md). receiver, receiver_kind, report_run, lost_report,
--   sample_kind, envelope_event, unreadable_envelope and the small tables are not sharded: they know no channel, or not always.

-- One row. Made at the first start.
create table deployment (
    singleton         boolean primary key default true check (singleton),
    id_key            bytea   not null check (length(id_key) = 32),  -- key of every *_id; lose it and no id matches any more
    ingest_epoch      bigint  not null default 0,  -- goes up when rows that ingest may hold in memory were changed by another job
    publishing_since  timestamptz,                 -- when remote write was first on; NULL: it never was
    sampling_salt     bytea   not null default uuid_send(gen_random_uuid())  -- by it clients tell which messages are in a sample
);

-- Of which messages clients are to report: one in so many. Made ahead of from_at, and never changed.
create table sampling_rule (
    channel_id  bigint  not null,  -- 0: every channel that has no rule of its own
    from_at     bigint  not null,  -- Unix ms, of sent_at, from which on it holds
    one_in      integer not null,  -- a power of two; 1: all messages
    primary key (channel_id, from_at)
);

-- By which rules windows are computed, by whoever holds the lock RULES. One row.
create table rules_in_force (
    singleton  boolean primary key default true check (singleton),
    rules      jsonb   not null  -- by the name of a setting its value, as text
);

-- When a server of this database was last here, by a clock that another one agreed with: what the next one holds its own
-- clock against.
create table clock_seen (
    singleton  boolean primary key default true check (singleton),
    seen_at    bigint  not null  -- Unix ms
);

-- What clients say of the time while a server's clock is in doubt. Empty otherwise.
create table clock_witness (
    receiver_id  bigint primary key,
    offset_ms    bigint not null  -- the client's clock less the server's
);

create table channel (
    channel_id   bigint primary key,
    external_id  text   not null,  -- the channel's id as clients send it
    is_shared    boolean not null default false  -- two installations were ever in it; found when days are cleaned
);

-- What kind of sample: by which interface it came, and the type of its message. A dictionary, so that a receipt
-- carries four bytes and "not measured" is decided when a window is computed, not when a sample comes.
create table sample_kind (
    kind          integer primary key,  -- 32-bit keyed hash of (source, message_type)
    source        text not null,        -- grpc, status-go
    message_type  text not null         -- e.g. CHAT_MESSAGE; empty: not said
);

create table receiver (
    receiver_id             bigint primary key,    -- of (public key, installation): two devices of one user are two receivers
    owner_id                bigint not null,       -- of the public key alone, for `forget KEY`
    installation_id         bigint,                -- of the installation alone, for an opt-out; NULL: none was given
    platform                text   not null default '',  -- the last one it said; empty: never said
    app_version             text   not null default '',  -- the last one it said; empty: never said
    platform_minute         bigint not null,       -- created_at of the report that platform comes from; 0: none. Of one minute
                                                   -- the greatest name counts
    last_receipt_minute     bigint,                -- greatest created_at of its receipts; NULL: it has none. Outlives the samples
    last_heartbeat_minute   bigint,                -- greatest time it pushed without samples; NULL: never
    clock_offset            bigint,                -- ms, the server's clock less its own, as its latest push told it, the way here in it
    clock_said_at           bigint,                -- created_at of that push; NULL, and the offset: it never told its clock
    app_version_minute      bigint not null default 0,  -- as platform_minute
    server                  text   not null default '',  -- that its app talks to, the last one it said; empty: never said
    server_minute           bigint not null default 0,   -- as platform_minute
    bucket_id               bigint,                -- keyed hash of the network (/24 or /48) that its latest push came from;
                                                   -- NULL: not known. It goes with the samples
    token                   text   not null default '',  -- the name of the token of that push; empty: none
    origin_minute           bigint not null default 0,   -- of these two, as platform_minute
    app_version_before      text   not null default '',  -- the last one that it said and that is another one; empty: none
    app_version_before_minute  bigint not null default 0 -- as platform_minute: so long it had that
);
create index receiver_owner on receiver (owner_id);
create index receiver_installation on receiver (installation_id);

-- Installations that ever held something that another one reports: who never did could be anyone. Of a receiver without an
-- installation its own id. Found when a window is computed.
create table corroborated_installation (
    installation_id  bigint primary key
);

-- Which types of messages receivers named: an installation may name only so many.
create table receiver_kind (
    receiver_id  bigint  not null,
    kind         integer not null,
    named_at     bigint  not null,  -- when ingest noted it. It goes after the time of silent receivers, and is noted again
    primary key (receiver_id, kind)
);

-- What installations brought on a day, of those that brought much of what one may. Kept for that day and the next.
create table installation_bytes (
    installation_id  bigint not null,  -- of a receiver without an installation its own id
    day_start        bigint not null,  -- Unix ms, midnight UTC
    size_bytes       bigint not null,
    primary key (installation_id, day_start)
);

-- Installations that opted out. What one of them still sends, because it was queued somewhere, is dropped.
-- Removed once older than the retention.
create table opt_out (
    installation_id  bigint primary key,
    forgotten_at     bigint not null  -- the server's clock
);

-- Receivers that are being forgotten: they have no row in receiver any more, and their receipts are going. What comes of
-- one meanwhile is dropped. A row that stays is of a process that died over it; the next cleaning finishes it.
create table forgotten_receiver (
    receiver_id      bigint primary key,
    owner_id         bigint not null,  -- this and the next: as in receiver
    installation_id  bigint
);

-- Times that were refused because they are no Unix milliseconds: how many a day, of at most a thousand platforms and
-- versions. Nobody's name is in it. Kept for a week.
create table wrong_time (
    day_start    bigint not null,  -- Unix ms, midnight UTC, of when they came
    platform     text   not null,
    app_version  text   not null,
    times        bigint not null,
    primary key (day_start, platform, app_version)
);

create table token (
    name        text        primary key,
    scope       text        not null check (scope in ('ingest', 'read')),
    hash        bytea       not null unique,  -- SHA-256 of the token, which is 256 random bits
    created_at  timestamptz not null,
    revoked_at  timestamptz                   -- NULL: valid
);
