-- What the client keeps on the device: one SQLite file, so that opting out wipes all of it in one transaction.
-- Times are Unix milliseconds of this device's clock unless they say otherwise.

-- One row. The settings; they outlive an opt-out.
create table if not exists telemetry_settings (
    singleton          integer primary key check (singleton = 1),
    telemetry_enabled  integer not null default 0,   -- 0 or 1: has the user opted in?
    opted_in_at        integer,                      -- NULL while off. Nothing older is ever reported
    opted_in_boot      text    not null default '',  -- in which run of the machine that was, and how long it had run by then
    opted_in_uptime    integer not null default 0,   -- (ms): tells the date by a clock that was set since
    consent            integer not null default 0,   -- up by one with every opt-in: a sample belongs to the one it was recorded under
    build              text    not null default 'dev' check (build in ('dev', 'release')),
    server             text    not null default '',  -- HOST:PORT; empty: the one the app names
    token              text    not null default '',  -- empty: the one the app names
    send_real_key      integer not null default 0,   -- 0: a pseudonym goes in its place
    blind_ids          integer not null default 0    -- 1: channel, message and envelope ids are blinded
);
insert or ignore into telemetry_settings (singleton) values (1);

-- At most one row, from opt-in to opt-out.
create table if not exists telemetry_identity (
    singleton        integer primary key check (singleton = 1),
    installation_id  text    not null,             -- random
    secret           blob    not null,             -- random; what the pseudonym is made from. Never leaves the device
    next_sequence    integer not null default 1,   -- number of the next sample; numbers that were skipped tell of lost samples
    dropped          integer not null default 0,   -- how many samples were lost on this device, and so numbers skipped
    acknowledged     integer not null default 0,   -- how many samples the server has
    set_aside        integer not null default 0,   -- how many it refused, or cannot be sent
    waiting_samples  integer not null default 0,   -- of telemetry_outbox, queued and in flight, ...
    waiting_bytes    integer not null default 0,   -- ... and how much they take
    reporter         blob    not null default x'', -- devtelemetry.v1.Reporter as the app's client last sent it, ...
    server           text    not null default '',  -- ... and where to: for people to look at
    knows_stays      integer not null default 0,   -- 0: opted in with a version that forgot a stay once it was told
    push_interval    integer not null default 0    -- seconds between two pushes, as the server told last; 0: as the client likes
);

-- The samples, as they are sent.
create table if not exists telemetry_outbox (
    sequence     integer primary key,
    state        text    not null check (state in ('queued', 'in_flight', 'acknowledged', 'set_aside')),
    sample       blob    not null,              -- devtelemetry.v1.Sample
    sent_at      integer not null,              -- of the message, its sender's clock
    recorded_at  integer not null,
    app_version  text    not null,              -- of the app that recorded it: one push has one
    changed_at   integer not null,              -- when it came into its state
    reason       text    not null default '',   -- why it was set aside
    one_in       integer not null default 1     -- the sampling that it was recorded under: one push has one
);
create index if not exists telemetry_outbox_state on telemetry_outbox (state, sequence);

-- When this device was in which channel: one row a stay, for as long as it goes on, and then until the server knows.
create table if not exists telemetry_stay (
    channel_id  text    not null,            -- as it is sent
    joined_at   integer not null,            -- 0: unknown
    left_at     integer not null,            -- 0: still in
    version     integer not null default 1,  -- up by one with each change: an answer to an older one does not count
    told        integer not null default 0,  -- the version that the server knows; 0: none
    primary key (channel_id, joined_at)
);

-- Numbers of samples that were lost here, and when their messages were sent, until the server knows.
create table if not exists telemetry_lost (
    first_sequence  integer primary key,
    last_sequence   integer not null,
    first_sent_at   integer not null,  -- these are not before the opt-in, and both included
    last_sent_at    integer not null
);

-- Which messages are in the sample, as the server told last: one in one_in of those that are sent from `since` on.
create table if not exists telemetry_sampling (
    channel_id  text    not null,            -- as it is sent; empty: every channel that has no rule of its own
    since       integer not null,
    one_in      integer not null,
    salt        blob    not null,
    primary key (channel_id, since)
);

-- How often, since the opt-in, an app spoke of messages from before it (before_opt_in), or of such as are in no sample
-- (not_in_sample: one_in), or said what cannot be.
create table if not exists telemetry_count (
    name    text    primary key,
    number  integer not null
);

-- The servers that samples went to since the opt-in: whom to ask to forget them.
create table if not exists telemetry_recipient (
    server  text primary key,
    token   text not null        -- the one that was sent with them
);

-- What remains of an opt-out until the server has done as asked; nothing else does.
create table if not exists telemetry_farewell (
    installation_id  text    not null,
    server           text    not null,
    token            text    not null,
    asked            integer not null default 0,  -- how often
    primary key (installation_id, server)
);

-- One row a client that ran: up to which generation what is in its journal is in the outbox (journal.py).
create table if not exists telemetry_journal (
    slot        integer primary key,
    generation  integer not null,
    boot_id     text    not null         -- of the machine while the client runs; empty: it has ended, and nothing of it is left
);
drop table if exists telemetry_tally;    -- what earlier versions had in its place

-- At most one row: how the last attempt to send went, for people.
create table if not exists telemetry_status (
    singleton     integer primary key check (singleton = 1),
    last_sent_at  integer,               -- when the server last acknowledged anything; NULL: never since the opt-in
    problem       text    not null,      -- empty: none; else a word of settings.Problem
    detail        text    not null,      -- for a person
    changed_at    integer not null
);
