-- What the client keeps on the device: in one SQLite file, so that an opt-out wipes all of it in one transaction.
-- Times are Unix milliseconds by this device's clock, unless a comment says otherwise.

-- One row: the settings. They outlive an opt-out.
create table if not exists telemetry_settings (
    singleton          integer primary key check (singleton = 1),
    telemetry_enabled  integer not null default 0,   -- 0 or 1: has the user opted in?
    opted_in_at        integer,                      -- NULL while off. No older message is ever reported
    opted_in_boot      text    not null default '',  -- the machine's run at the opt-in, and how long it had run, ...
    opted_in_uptime    integer not null default 0,   -- ... in ms: they correct opted_in_at if the clock is set back
    consent            integer not null default 0,   -- counts opt-ins; a sample belongs to one of them
    build              text    not null default 'dev' check (build in ('dev', 'release')),
    server             text    not null default '',  -- HOST:PORT; empty: the server that the app names
    token              text    not null default '',  -- empty: the token that the app names
    send_real_key      integer not null default 0,   -- 0: a pseudonym is sent in place of the key
    blind_ids          integer not null default 0    -- 1: channel, message and envelope ids are blinded
);
insert or ignore into telemetry_settings (singleton) values (1);

-- At most one row, from opt-in to opt-out.
create table if not exists telemetry_identity (
    singleton        integer primary key check (singleton = 1),
    installation_id  text    not null,             -- random
    secret           blob    not null,             -- random; the pseudonym is made with it. Never leaves the device
    next_sequence    integer not null default 1,   -- number of the next sample; a skipped number means a lost sample
    dropped          integer not null default 0,   -- samples that were lost on this device
    acknowledged     integer not null default 0,   -- samples that the server has
    set_aside        integer not null default 0,   -- samples that the server refused or that cannot be sent
    waiting_samples  integer not null default 0,   -- samples in telemetry_outbox that are queued or in flight, ...
    waiting_bytes    integer not null default 0,   -- ... and how much room they take
    reporter         blob    not null default x'', -- devtelemetry.v1.Reporter as the app's client last sent it, ...
    server           text    not null default '',  -- ... and to which server: for people to look at
    knows_stays      integer not null default 0,   -- 0: opted in with a version that deleted stays the server knew
    push_interval    integer not null default 0    -- seconds between two pushes, as the server asks; 0: it does not
);

-- The samples, as they are sent.
create table if not exists telemetry_outbox (
    sequence     integer primary key,
    state        text    not null check (state in ('queued', 'in_flight', 'acknowledged', 'set_aside')),
    sample       blob    not null,              -- devtelemetry.v1.Sample
    sent_at      integer not null,              -- of the message, as the app said it
    recorded_at  integer not null,
    app_version  text    not null,              -- of the app that recorded it; the same for all of a push
    changed_at   integer not null,              -- when it got its present state
    reason       text    not null default '',   -- why it was set aside
    one_in       integer not null default 1     -- the sampling under which it was recorded; the same for all of a push
);
create index if not exists telemetry_outbox_state on telemetry_outbox (state, sequence);

-- When the user was in which channel. One row for each stay, until the stay has ended and the server knows that.
create table if not exists telemetry_stay (
    channel_id  text    not null,            -- as it is sent
    joined_at   integer not null,            -- 0: unknown
    left_at     integer not null,            -- 0: still in the channel
    version     integer not null default 1,  -- one more with each change; an answer to an older one does not count
    told        integer not null default 0,  -- the version that the server knows; 0: none
    primary key (channel_id, joined_at)
);

-- Numbers of samples that were lost here, and the span in which their messages were sent, until the server knows them.
create table if not exists telemetry_lost (
    first_sequence  integer primary key,
    last_sequence   integer not null,
    first_sent_at   integer not null,  -- not before the opt-in; both bounds are included
    last_sent_at    integer not null
);

-- The server's latest rules of sampling: report one message in one_in, among those sent from `since` on.
create table if not exists telemetry_sampling (
    channel_id  text    not null,            -- as it is sent; empty: every channel without a rule of its own
    since       integer not null,
    one_in      integer not null,
    salt        blob    not null,
    primary key (channel_id, since)
);

-- Calls since the opt-in, by name: about messages from before it (before_opt_in), about messages that sampling leaves
-- out (not_in_sample: one_in), and calls with a fault (its kind and field).
create table if not exists telemetry_count (
    name    text    primary key,
    number  integer not null
);

-- The servers that got samples since the opt-in, and will be asked to forget them.
create table if not exists telemetry_recipient (
    server  text primary key,
    token   text not null        -- the token that was last sent with the samples
);

-- Requests to forget, which remain after an opt-out until the server has done it. Nothing else remains.
create table if not exists telemetry_farewell (
    installation_id  text    not null,
    server           text    not null,
    token            text    not null,
    asked            integer not null default 0,  -- how often the server was asked
    primary key (installation_id, server)
);

-- One row for each slot: up to which generation the records of its journal are in the outbox (journal.py).
create table if not exists telemetry_journal (
    slot        integer primary key,
    generation  integer not null,
    boot_id     text    not null         -- the machine's run while the client runs; empty: it ended, nothing is left
);
drop table if exists telemetry_tally;    -- its predecessor in earlier versions

-- At most one row: how the last push went, for people.
create table if not exists telemetry_status (
    singleton     integer primary key check (singleton = 1),
    last_sent_at  integer,               -- when the server last acknowledged a push; NULL: never since the opt-in
    problem       text    not null,      -- a value of settings.Problem; empty: none
    detail        text    not null,      -- for a person
    changed_at    integer not null
);
