-- The schema as it is now, for people to read. This file has the deployment and who reports to it, samples.sql what was
-- reported, results.sql what was computed. migrations/ makes the database; a test proves that the migrations add up to
-- these files.
--
-- Conventions
--   *_id      64-bit keyed BLAKE2b of what the wire calls that id; the key is deployment.id_key.
--             A receiver's public key is never stored. Ids of channels and messages are stored once, in clear
--             (external_id), for the people who look for a fault.
--   *_at      Unix milliseconds, bigint. sent_at is usually by the author's clock (message.clock says whose it is),
--             created_at by the server's.
--   *_minute  Unix milliseconds, rounded down to a minute. Windows begin and end on whole minutes, so
--             `sent_at < window_end` and `sent_minute < window_end` mean the same. A row with a minute is
--             written once a minute instead of once for each sample.
--   Every table that grows with the messages has channel_id in its key, and joins use it, so the schema can be sharded
--   by channel (docs/scaling.md). Not sharded, because their rows have no channel, or not always: receiver,
--   receiver_kind, report_run, lost_report, sample_kind, envelope_event, unreadable_envelope, and the small tables.

-- One row, made at the first start.
create table deployment (
    singleton         boolean primary key default true check (singleton),
    id_key            bytea   not null check (length(id_key) = 32),  -- key of every *_id; without it no id matches
    ingest_epoch      bigint  not null default 0,  -- goes up when a job changes rows that ingest may have in memory
    publishing_since  timestamptz,                 -- when remote write was first on; NULL: it never was
    sampling_salt     bytea   not null default uuid_send(gen_random_uuid())  -- decides which messages are in the sample
);

-- Rules of sampling: clients report one message in `one_in`. A rule is made before it holds, and never changed.
create table sampling_rule (
    channel_id  bigint  not null,  -- 0: every channel that has no rule of its own
    from_at     bigint  not null,  -- it holds for messages with this sentAt or a later one
    one_in      integer not null,  -- a power of two; 1: all messages
    primary key (channel_id, from_at)
);

-- The rules by which windows are computed. All servers and commands that hold the lock RULES use them. One row.
create table rules_in_force (
    singleton  boolean primary key default true check (singleton),
    rules      jsonb   not null  -- names of settings, and their values as text
);

-- When a server of this database last ran, by a clock that another clock agreed with. The next server compares its own
-- clock with that. One row.
create table clock_seen (
    singleton  boolean primary key default true check (singleton),
    seen_at    bigint  not null  -- Unix ms
);

-- The clocks of clients, noted while a server's clock is in doubt. Empty otherwise.
create table clock_witness (
    receiver_id  bigint primary key,
    offset_ms    bigint not null  -- the client's clock minus the server's
);

create table channel (
    channel_id   bigint primary key,
    external_id  text   not null,  -- the channel's id as clients send it
    is_shared    boolean not null default false  -- two installations were ever in it; set when days are cleaned
);

-- Kinds of samples: the interface that a sample came by, and the type of its message. So a receipt needs only four
-- bytes for both, and what is "not measured" is decided when a window is computed, not when a sample comes.
create table sample_kind (
    kind          integer primary key,  -- 32-bit keyed hash of (source, message_type)
    source        text not null,        -- grpc, status-go
    message_type  text not null         -- e.g. CHAT_MESSAGE; empty: not said
);

create table receiver (
    receiver_id             bigint primary key,    -- of (public key, installation); each device of a user is a receiver
    owner_id                bigint not null,       -- of the public key alone, for `forget KEY`
    installation_id         bigint,                -- of the installation alone, for an opt-out; NULL: none was given
    platform                text   not null default '',  -- the last one that it said; empty: never said
    app_version             text   not null default '',  -- the last one that it said; empty: never said
    platform_minute         bigint not null,       -- when it last said its platform; 0: never. If it said several in
                                                   -- one minute, the greatest name counts
    last_receipt_minute     bigint,                -- greatest created_at of its receipts; NULL: no receipt. Outlives
                                                   -- the samples
    last_heartbeat_minute   bigint,                -- its latest push without samples; NULL: none
    clock_offset            bigint,                -- ms, the server's clock minus its own at its latest push; includes
                                                   -- the time that the push took. NULL: it never said its time
    clock_said_at           bigint,                -- created_at of that push; NULL: likewise
    app_version_minute      bigint not null default 0,  -- as platform_minute
    server                  text   not null default '',  -- that its app talks to, as it last said; empty: never said
    server_minute           bigint not null default 0,   -- as platform_minute
    bucket_id               bigint,                -- keyed hash of the network (/24 or /48) that its latest push came
                                                   -- from; NULL: not known. Cleared with the samples
    token                   text   not null default '',  -- the name of the token of that push; empty: none
    origin_minute           bigint not null default 0,   -- of bucket_id and token, as platform_minute
    app_version_before      text   not null default '',  -- the last other version that it said; empty: none
    app_version_before_minute  bigint not null default 0 -- when it last said that version
);
create index receiver_owner on receiver (owner_id);
create index receiver_installation on receiver (installation_id);

-- Installations that ever reported something that another installation reports, too. Any other may be made up. Found
-- when a window is computed.
create table corroborated_installation (
    installation_id  bigint primary key  -- receiver_id, if the receiver has no installation
);

-- The types of messages that receivers named. An installation may name only a limited number.
create table receiver_kind (
    receiver_id  bigint  not null,
    kind         integer not null,
    named_at     bigint  not null,  -- when ingest noted it; kept as long as silent receivers, then noted again
    primary key (receiver_id, kind)
);

-- How many bytes an installation brought on a day, once that is a good part of the limit. Kept for that day and the
-- next.
create table installation_bytes (
    installation_id  bigint not null,  -- receiver_id, if the receiver has no installation
    day_start        bigint not null,  -- Unix ms, midnight UTC
    size_bytes       bigint not null,
    primary key (installation_id, day_start)
);

-- Installations that opted out. Samples that still come from them, because they were queued somewhere, are dropped. A
-- row is deleted once it is older than the retention.
create table opt_out (
    installation_id  bigint primary key,
    forgotten_at     bigint not null  -- the server's clock
);

-- Receivers that are being forgotten: they have no row in receiver any more, and their receipts are being deleted.
-- Samples that come from them meanwhile are dropped. A row stays if its process died; then the next cleaning finishes
-- the work.
create table forgotten_receiver (
    receiver_id      bigint primary key,
    owner_id         bigint not null,  -- this and the next: as in receiver
    installation_id  bigint
);

-- How many times were refused on a day because they are not Unix milliseconds, for at most a thousand platforms and
-- versions. Names nobody. Kept for a week.
create table wrong_time (
    day_start    bigint not null,  -- Unix ms, midnight UTC, of the day on which they came
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
