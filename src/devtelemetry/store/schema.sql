-- The schema as it stands, for people to read. The database is made by migrations/; a test proves
-- that they add up to this file.
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

-- One row a message. Not partitioned by day: that a message has one sentAt for ever is a constraint, and
-- a key cannot span partitions without their day (docs/adr/0003-one-row-a-message.md).
create table message (
    channel_id    bigint  not null,
    message_id    bigint  not null,
    sent_at       bigint   not null,  -- what most installations say by the best clock: docs/algorithm.md
    created_at    bigint   not null,  -- of its first accepted sample, which message_size, envelope_id and topics are of
    kind          integer  not null,  -- of its first accepted sample that says a type
    message_size  bigint,             -- bytes; NULL: not said
    external_id   text     not null,  -- the message's id as clients send it
    envelope_id   text     not null,  -- in clear; empty: none
    topics        bytea    not null,
    clock         smallint not null,  -- whose: 0 the messenger's server's, 1 the author's, 2 a receiver's own; the less the better
    typed_at      bigint,             -- created_at of that sample; NULL: none says a type
    typed_sent_at bigint,             -- sentAt as that sample says it
    went_out      boolean  not null,  -- an envelope that it came in was seen in the network
    primary key (channel_id, message_id)
);

-- How late something is, in ms, as one of 15 classes: model.DELAY_EDGES_MS. 0: not known; 1: more than a second too early.
create function delay_class(delay bigint) returns smallint
immutable parallel safe language sql
return coalesce(
    1 + width_bucket(
        delay,
        array[
            -1000, 1001, 2001, 5001, 10001, 30001, 60001, 300001, 600001, 1800001, 3600001, 21600001, 86400001
        ]::bigint[]
    ),
    0
)::smallint;

-- What became of a message at a receiver, in one number, so that the figures read nothing but the key's index.
--   1 to 16      how late a receipt is: the class of its delivery where the receiver says when it got the message, else
--                16 + the class of its report
--   32, 64       how it came, 32 times the wire's number of via
--   128, 256     it was also unreadable; dropped
--   512, 1024    its author could not send it, by a sample of its own; by what it said of the envelope
--   2048         it is not held: less than that means it is
--   4096         there is no sample at all, but a mark of its author
-- said: the bits from 32 to 1024. received_at: NULL where delays of delivery are not known.
create function receipt_state(sent_at bigint, received_at bigint, created_at bigint, said integer) returns smallint
immutable parallel safe language sql
return case
    when created_at is null then (said & 1920) + 2048 + case when said & 896 = 0 then 4096 else 0 end
    else said + case
        when received_at is null then 16 + delay_class(created_at - sent_at)
        else delay_class(received_at - sent_at)
    end
end::smallint;

-- One row a (channel, message, receiver): what became of the message at the receiver, or that it wrote it. Partitioned by
-- day of sent_at; sent_at leads the key, so a window is one range of it and inserts stay at its right edge.
create table receipt (
    channel_id        bigint  not null,
    message_id        bigint  not null,
    receiver_id       bigint  not null,
    sent_at           bigint  not null,  -- the message's
    created_at        bigint,            -- when the first of its samples that hold it was accepted; NULL: none does
    received_at       bigint,            -- when it held the message, by the server's clock as far as its push told its own;
                                         -- of an author: when it sent it. NULL: not known
    kind              integer not null,  -- the message's
    sent_by_receiver  boolean not null,  -- the receiver wrote the message: it is never expected to receive it
    state             smallint not null, -- receipt_state, by the clock of the message's author as far as that is known; of an
                                         -- author by its own
    authored_at       bigint,            -- when it was first told that the receiver wrote it; NULL: it was not, or nobody knows
    vote              bigint[],          -- what the first of its samples by its best clock says of the message's sentAt: clock,
                                         -- created_at, sent_at. NULL: the message's clock, created_at, sent_at
    envelope_id       bigint,            -- status-go: of the sample that created_at is of; NULL: not said
    -- What else an hour's figures need stands in the key's index: computing them reads nothing but it.
    primary key (sent_at, channel_id, message_id, receiver_id) include (kind, state, sent_by_receiver)
) partition by range (sent_at);
-- Authors whose clock is off by a second or more.
create index receipt_author_clock on receipt (sent_at) include (channel_id, message_id, received_at)
where sent_by_receiver and abs(received_at - sent_at) >= 1000;
-- What authors are only known to have sent, without a sample of it.
create index receipt_mark on receipt (sent_at) include (channel_id, message_id, receiver_id, kind)
where state >= 4096;

-- Samples of messages that are not held, and why: the first one of each outcome.
create table failure (
    sent_at      bigint   not null,  -- the message's
    channel_id   bigint   not null,
    message_id   bigint   not null,
    receiver_id  bigint   not null,
    outcome      smallint not null,  -- as on the wire: 1 unreadable, 2 dropped, 3 send_failed; 4: as 3, said of the envelope
    created_at   bigint,             -- of that sample; NULL: not known
    reason       text     not null,  -- a code of the app's; empty: not said
    primary key (sent_at, channel_id, message_id, receiver_id, outcome)
);
create index failure_receiver on failure (receiver_id);

-- From when to when a receiver is known in a channel, by what it held. Outlives the samples.
create table membership (
    channel_id         bigint  not null,
    receiver_id        bigint  not null,
    first_sent_at      bigint,  -- of the earliest message of the channel it ever held; NULL: it holds none
    last_sent_minute   bigint,  -- of the latest
    has_said           boolean not null default false,  -- it ever said something of joining or leaving: that decides
    had_stays          boolean not null default false,  -- there were stays before what is left of its membership_report
    primary key (channel_id, receiver_id)
) with (fillfactor = 70);  -- updated in place, once a minute at most
create index membership_receiver on membership (receiver_id);

-- What receivers said of joining and leaving a channel, a row each time. Replayed in the order of the key it tells when
-- the receiver was there: its stays (docs/algorithm.md). What only tells of stays that ended before all windows that can
-- still be computed is deleted.
create table membership_report (
    channel_id   bigint not null,
    receiver_id  bigint not null,
    created_at   bigint not null,  -- of the push
    joined_at    bigint not null,  -- as it says, by its clock; 0: it does not
    left_at      bigint not null,  -- likewise; neither: it is in
    primary key (channel_id, receiver_id, created_at, joined_at, left_at)
);

-- Which reports of an installation arrived, by its own numbers: runs without a hole. A push whose number follows a
-- stored run's last makes that run longer, so an installation that loses nothing has one row.
create table report_run (
    installation_id  bigint not null,
    first_sequence   bigint not null,
    last_sequence    bigint not null,
    first_sent_at    bigint,           -- as said by the first accepted of its samples; NULL: all were rejected
    last_sent_at     bigint,           -- as said by the last one
    primary key (installation_id, first_sequence)
) with (fillfactor = 70);  -- updated in place

-- Numbers of reports that an installation says it lost, and when their messages were sent, both included. Whatever
-- arrived of them after all stands in report_run too.
create table lost_report (
    installation_id  bigint not null,
    first_sequence   bigint not null,
    last_sequence    bigint not null,
    first_sent_at    bigint not null,
    last_sent_at     bigint not null,
    primary key (installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at)
);

-- Receivers that recorded one message in so many while more was wanted, since they had not heard of it. They do not count
-- in windows of that time.
create table coarse_receiver (
    channel_id   bigint  not null,
    receiver_id  bigint  not null,
    since_at     bigint  not null,  -- from_at of the rule they had not heard of
    one_in       integer not null,
    until_at     bigint  not null,  -- sent_at of the last sample that they recorded so
    primary key (channel_id, receiver_id, since_at, one_in)
);

-- Runs that touch or overlap, since pushes come in any order: an island. Between two islands reports are missing.
create view report_island as
select
    installation_id,
    min(first_sequence) as first_sequence,
    max(last_sequence) as last_sequence,
    (array_agg(first_sent_at order by first_sequence) filter (where first_sent_at is not null))[1] as begins_at,
    (array_agg(last_sent_at order by last_sequence desc, last_sent_at desc) filter (where last_sent_at is not null))[1]
        as ends_at
from (
    select *, count(*) filter (where begins) over (partition by installation_id order by first_sequence) as island
    from (
        select
            *,
            first_sequence > 1 + max(last_sequence) over (
                partition by installation_id order by first_sequence rows between unbounded preceding and 1 preceding
            ) as begins
        from report_run
    ) run
) numbered
group by installation_id, island;

-- Some things are said of envelopes, apart from the message: which messages came in which, ...
create table message_envelope (
    channel_id   bigint not null,
    message_id   bigint not null,
    envelope_id  bigint not null,
    created_at   bigint not null,  -- of the first sample that said so; its row goes with the samples of that day
    primary key (channel_id, message_id, envelope_id)
);
create index message_envelope_envelope on message_envelope (envelope_id);

-- ... and what became of it. Whichever comes first waits here for the other.
create table envelope_event (
    envelope_id      bigint   not null,
    event            smallint not null,  -- 0 sent, 1 send_failed, 2 went_out, 3 from_store: model.EnvelopeEvent
    installation_id  bigint   not null,  -- that says so
    receiver_id      bigint   not null,  -- likewise; 0: the installation names none
    created_at       bigint   not null,  -- of the first that says so
    reason           text     not null,  -- likewise; empty: not said
    primary key (envelope_id, event, installation_id, receiver_id)
);
create index envelope_event_receiver on envelope_event (receiver_id);

-- Samples of what could not be read, so that the message has no name: each stands for the messages of its envelope.
create table unreadable_envelope (
    envelope_id  bigint   not null,
    channel_id   bigint   not null,  -- 0: whichever it came in
    receiver_id  bigint   not null,
    created_at   bigint   not null,  -- this and what follows: of the first such sample
    sent_at      bigint   not null,
    clock        smallint not null,  -- as in message
    reason       text     not null,
    primary key (envelope_id, channel_id, receiver_id)
);
create index unreadable_envelope_receiver on unreadable_envelope (receiver_id);

-- When samples last came for a minute of event time: which windows must be computed again.
create table arrival (
    sent_minute         bigint primary key,
    arrived_at          bigint not null,  -- wall clock of the server that took them, to a minute
    arrived_on_time_at  bigint            -- the same of those whose created_at lies before their shortest window settled;
                                          -- NULL: all were late
);

-- What ingest found to be wrong in rows written earlier, put right before the next window is computed: ...
create table doubted_message (  -- ... samples differ in sentAt, or the first one that says a type came: receipts may stand
    channel_id  bigint not null,  -- under a sentAt or kind that is not the message's
    message_id  bigint not null,
    primary key (channel_id, message_id)
);
create table doubted_receiver (  -- ... an earlier copy of a sample came: last_receipt_minute may be too late
    receiver_id  bigint primary key
);
create table doubted_delay (  -- ... something new is known of the clock of its author: delays of its receipts are as before
    sent_at     bigint not null,
    channel_id  bigint not null,
    message_id  bigint not null,
    primary key (sent_at, channel_id, message_id)
);

-- Days whose samples were cleaned, in part or all: whatever comes for them later is not the whole. No window over one
-- is computed any more; what was computed stays.
create table cleaned_day (
    day_start  bigint primary key  -- Unix ms, midnight UTC
);

-- The results. Kept for good. NULL in a column of what figures rest on: the window was computed before it was kept.
-- A spread is four sums over clusters of pairs with x missing of n corroborated: how many clusters, x x, x n, n n.
-- Delays are delivered pairs by delay_class, from class 0 on; what is 0 at the end is left out.
create table reliability_window (
    timeframe         text             not null,  -- 1h, 1d, 1w, …
    window_start      timestamptz      not null,
    window_end        timestamptz      not null,  -- exclusive
    membership        text             not null check (membership in ('present', 'window', 'bracketed')),
    state             text             not null check (state in ('provisional', 'settled')),
    reliability       double precision,           -- R: mean over the comparable channels; NULL: none is comparable
    messages          bigint           not null,  -- this and what follows: sums over the comparable channels
    receivers         bigint           not null,
    expected          bigint           not null,
    missing           bigint           not null,
    corroborated      bigint           not null,
    unknown           bigint           not null,
    revision          integer          not null,  -- from 1; up by one when a later computation changed a figure
    computed_at       timestamptz      not null,  -- of the last computation, whether it changed a figure or not
    over_channels     numeric[],                  -- the spread; a cluster is a channel
    over_receivers    numeric[],                  -- a receiver, in all channels
    over_memberships  numeric[],                  -- a receiver in a channel
    delivery_delays   bigint[],                   -- from sentAt to receivedAt
    report_delays     bigint[],                   -- of the other pairs: from sentAt to createdAt
    median            double precision,           -- of the receivers' delivery ratios
    trimmed           double precision,           -- their mean, without a tenth at either end
    influence         double precision,           -- how far leaving out one receiver can move R
    unseen            double precision,           -- messages that nobody received, estimated
    sample_coverage   double precision,
    -- The revision whose figures were delivered to the store of time series, or refused by it, with each state.
    -- NULL: none yet; 0: none, and none will be of itself, since it was settled before remote write was on.
    published_provisional  integer,
    published_settled      integer,
    published_at           timestamptz,  -- when that was last
    published_again        text,         -- the state that was to be delivered once more, as the store may have lost it
    unreadable        bigint           not null,  -- of missing: arrived and could not be read,
    dropped           bigint           not null,  -- arrived and was thrown away,
    not_sent          bigint           not null,  -- could not be sent; the rest did not arrive
    recovered         bigint           not null,  -- delivered pairs that were unreadable at first,
    by_live           bigint           not null,  -- and by how they came, as far as that is said
    by_history        bigint           not null,
    by_resend         bigint           not null,
    reasons           jsonb,                      -- why pairs are missing: [class, reason, pairs], most first; the rest: nulls
    unconfirmed       bigint           not null,  -- messages shown apart, in no count: one alone says too many
    silent_members    bigint           not null,  -- receivers shown apart, likewise: of whom nothing else is known
    one_in            bigint,                     -- of how many messages one was wanted; the most of its channels
    estimated_messages  bigint,                   -- how many there were, of which `messages` are a sample
    primary key (timeframe, window_start, membership)
);
create index reliability_window_unpublished on reliability_window (membership, window_end)
where case state when 'settled' then published_settled else published_provisional end is null;

-- What settled windows came to, each counted when it was settled first: these numbers never fall, whatever is computed again.
create table settled_deliveries (
    timeframe   text   not null,
    membership  text   not null,
    deliveries  bigint not null,  -- those that can be judged: corroborated
    good        bigint not null,  -- those of them that were made
    primary key (timeframe, membership)
);

-- Windows that could not be computed. They are tried again, each time twice as long after.
create table failed_window (
    timeframe     text        not null,
    window_start  timestamptz not null,
    membership    text        not null,
    failures      integer     not null,  -- in a row
    failed_at     timestamptz not null,  -- last
    error         text        not null,
    primary key (timeframe, window_start, membership)
);

create table reliability_channel (
    channel_id        bigint      not null,
    timeframe         text        not null,
    window_start      timestamptz not null,
    membership        text        not null,
    messages          bigint      not null,
    receivers         bigint      not null,  -- that count
    expected          bigint      not null,  -- (message, receiver) pairs
    missing           bigint      not null,  -- of them that the receiver does not hold
    corroborated      bigint      not null,  -- of them whose message another receiver holds or sent
    unknown           bigint      not null,  -- pairs of which nothing can be said, not in expected
    over_memberships  numeric[],             -- this and what follows as above, of the channel
    delivery_delays   bigint[],
    report_delays     bigint[],
    captures          bigint[],              -- in all; messages with one; with two; sum of squares by who has the one
    median            double precision,
    trimmed           double precision,
    influence         double precision,      -- on Rch
    unreadable        bigint      not null,
    dropped           bigint      not null,
    not_sent          bigint      not null,
    recovered         bigint      not null,
    by_live           bigint      not null,
    by_history        bigint      not null,
    by_resend         bigint      not null,
    reasons           jsonb,
    unconfirmed       bigint      not null,
    silent_members    bigint      not null,
    one_in            bigint,
    estimated_messages  bigint,
    primary key (timeframe, window_start, membership, channel_id)
);
create index reliability_channel_history on reliability_channel (channel_id, timeframe, window_start);

-- The shares of a window or channel that belong to one value of a dimension.
create table reliability_group (
    channel_id        bigint      not null,  -- 0: the window
    timeframe         text        not null,
    window_start      timestamptz not null,
    membership        text        not null,
    dimension         text        not null check (dimension in (
                          'platform', 'app_version', 'message_type', 'author_platform', 'author_app_version', 'path'
                      )),
    is_rest           boolean     not null,  -- groups too small to show, put together; their value is ''
    value             text        not null,  -- '': never said
    messages          bigint      not null,
    receivers         bigint      not null,
    expected          bigint      not null,
    missing           bigint      not null,
    corroborated      bigint      not null,
    unknown           bigint      not null,
    over_channels     numeric[]   not null,  -- no clusters in the group of a channel
    over_receivers    numeric[]   not null,
    over_memberships  numeric[]   not null,
    delivery_delays   bigint[]    not null,
    report_delays     bigint[]    not null,
    unreadable        bigint      not null,
    dropped           bigint      not null,
    not_sent          bigint      not null,
    recovered         bigint      not null,
    by_live           bigint      not null,
    by_history        bigint      not null,
    by_resend         bigint      not null,
    primary key (timeframe, window_start, membership, channel_id, dimension, is_rest, value)
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

-- What is wrong in how apps report, as of the last look: findings/.
create table finding (
    kind         text        not null,  -- findings.kinds.Kind
    platform     text        not null,
    app_version  text        not null,
    channel_id   bigint      not null,  -- where it shows most; 0: it is of no channel
    evidence     jsonb       not null,  -- counts by name
    found_first  timestamptz not null,  -- without a break since then
    found_until  timestamptz not null,  -- where the span ended that was looked at last
    primary key (kind, platform, app_version)
);

-- What the team noted of a moment, such as a deployment: releases/.
create table note (
    note_id      bigint      primary key generated always as identity,
    noted_at     timestamptz not null,  -- the moment that it is of
    app_version  text        not null,  -- empty: it is of none
    text         text        not null,
    created_at   timestamptz not null
);

-- What people were told of problems, and still are to be: notify/. Rows go once it is told that the problem ended.
create table notice (
    target        text        not null,  -- a webhook, or a service of Apprise
    membership    text        not null,
    kind          text        not null,  -- problems.explain.Unit
    value         text        not null,
    app_version   text        not null,
    listed_at     timestamptz not null,  -- the end of the window at which it was listed first
    document      text        not null,  -- JSON: the problem as it was listed last
    is_told       boolean     not null,  -- that it is there
    absent_since  timestamptz,           -- the end of the first window at which it was not; NULL: it is listed
    ended_at      timestamptz,           -- that again, once it did not come back; NULL: it has not ended
    looked_until  timestamptz not null,  -- the end of the window that was looked at last
    primary key (target, membership, kind, value, app_version)
);

create table token (
    name        text        primary key,
    scope       text        not null check (scope in ('ingest', 'read')),
    hash        bytea       not null unique,  -- SHA-256 of the token, which is 256 random bits
    created_at  timestamptz not null,
    revoked_at  timestamptz                   -- NULL: valid
);
