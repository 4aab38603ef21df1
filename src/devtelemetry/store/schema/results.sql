-- What was computed. deployment.sql has the conventions.

-- The figures of windows, kept for good. A column that came later is NULL in windows that were computed before it was
-- kept. A spread has four sums over clusters, each with n corroborated pairs of which x are missing: the number of
-- clusters, Σ x², Σ x n, Σ n². Delays are numbers of delivered pairs by delay_class, from class 0; zeros at the end are
-- left out.
create table reliability_window (
    timeframe         text             not null,  -- 1h, 1d, 1w, …
    window_start      timestamptz      not null,
    window_end        timestamptz      not null,  -- exclusive
    membership        text             not null check (membership in ('present', 'window', 'bracketed')),
    state             text             not null check (state in ('provisional', 'settled')),
    reliability       double precision,           -- R: mean over the comparable channels; NULL: none is comparable
    messages          bigint           not null,  -- this and the next five: sums over the comparable channels
    receivers         bigint           not null,
    expected          bigint           not null,
    missing           bigint           not null,
    corroborated      bigint           not null,
    unknown           bigint           not null,
    revision          integer          not null,  -- from 1; goes up by one when a later computation changes a figure
    computed_at       timestamptz      not null,  -- of the last computation, even if it changed no figure
    over_channels     numeric[],                  -- a spread; a cluster is a channel,
    over_receivers    numeric[],                  -- a receiver with all its channels,
    over_memberships  numeric[],                  -- a receiver in one channel
    delivery_delays   bigint[],                   -- from sentAt to receivedAt
    report_delays     bigint[],                   -- from sentAt to createdAt, for pairs without a receivedAt
    median            double precision,           -- of the receivers' delivery ratios
    trimmed           double precision,           -- their mean, without a tenth at either end
    influence         double precision,           -- how far R could change if one installation or network were left out
    unseen            double precision,           -- estimated messages that no reporting receiver holds
    sample_coverage   double precision,           -- estimated share of deliveries whose message somebody reports
    -- For each state the revision that the store of time series took or refused. NULL: none yet; 0: none, because the
    -- window was settled before remote write was on, and so is published only on request.
    published_provisional  integer,
    published_settled      integer,
    published_at           timestamptz,  -- of the latest delivery
    published_again        text,         -- the state that is delivered once more, because the store may have lost it
    unreadable        bigint           not null,  -- missing pairs that arrived and could not be read,
    dropped           bigint           not null,  -- that arrived and the app threw away,
    not_sent          bigint           not null,  -- whose message could not be sent; the rest did not arrive
    recovered         bigint           not null,  -- delivered pairs that were unreadable at first
    by_live           bigint           not null,  -- delivered pairs by how the message came, if that is said
    by_history        bigint           not null,
    by_resend         bigint           not null,
    reasons           jsonb,                      -- of missing pairs: [class, reason, pairs], the most frequent first,
                                                  -- the others last, put together as [null, null, pairs]
    unconfirmed       bigint           not null,  -- messages in no count: one installation or network reports too many
    silent_members    bigint           not null,  -- receivers in no count: no other installation confirms theirs
    one_in            bigint,                     -- one message in so many was wanted; the greatest of its channels
    estimated_messages  bigint,                   -- how many messages were sent, estimated from the sample
    primary key (timeframe, window_start, membership)
);
create index reliability_window_unpublished on reliability_window (membership, window_end)
where case state when 'settled' then published_settled else published_provisional end is null;

-- Sums over settled windows. A window is counted once, when it goes from provisional to settled, so these numbers never
-- fall. A window that is settled in its first computation, as after an import, is not counted.
create table settled_deliveries (
    timeframe   text   not null,
    membership  text   not null,
    deliveries  bigint not null,  -- that can be judged: corroborated
    good        bigint not null,  -- that were made: corroborated minus missing
    primary key (timeframe, membership)
);

-- Windows that could not be computed. They are tried again, each time after twice as long.
create table failed_window (
    timeframe     text        not null,
    window_start  timestamptz not null,
    membership    text        not null,
    failures      integer     not null,  -- in a row
    failed_at     timestamptz not null,  -- the last time
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
    expected          bigint      not null,  -- (message, receiver) pairs that should be there
    missing           bigint      not null,  -- expected pairs that the receiver does not hold
    corroborated      bigint      not null,  -- expected pairs whose message another installation reports or sent
    unknown           bigint      not null,  -- pairs that cannot be judged; not in expected
    over_memberships  numeric[],             -- this and the other columns: as above, for the channel
    delivery_delays   bigint[],
    report_delays     bigint[],
    captures          bigint[],              -- all captures; messages with one; messages with two; Σ over receivers of
                                             -- (messages that this one alone captured)²
    median            double precision,
    trimmed           double precision,
    influence         double precision,      -- the same for Rch
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

-- Groups: the part of a window's or a channel's figures that belongs to one value of a dimension.
create table reliability_group (
    channel_id        bigint      not null,  -- 0: a group of the window
    timeframe         text        not null,
    window_start      timestamptz not null,
    membership        text        not null,
    dimension         text        not null check (dimension in (
                          'platform', 'app_version', 'message_type', 'author_platform', 'author_app_version', 'path'
                      )),
    is_rest           boolean     not null,  -- groups that are too small to show, put together; the value is ''
    value             text        not null,  -- '': never said
    messages          bigint      not null,
    receivers         bigint      not null,
    expected          bigint      not null,
    missing           bigint      not null,
    corroborated      bigint      not null,
    unknown           bigint      not null,
    over_channels     numeric[]   not null,  -- this and the next: zeros in a group of a channel
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

-- Faults in how apps report, as the last look found them: findings/.
create table finding (
    kind         text        not null,  -- findings.kinds.Kind
    platform     text        not null,
    app_version  text        not null,
    channel_id   bigint      not null,  -- the channel where it shows most; 0: none
    evidence     jsonb       not null,  -- counts by name
    found_first  timestamptz not null,  -- every look since then found it
    found_until  timestamptz not null,  -- the end of the span of the last look
    primary key (kind, platform, app_version)
);

-- Notes of the team about a moment, such as a deployment: releases/.
create table note (
    note_id      bigint      primary key generated always as identity,
    noted_at     timestamptz not null,  -- the moment that the note is about
    app_version  text        not null,  -- that the note is about; empty: none
    text         text        not null,
    created_at   timestamptz not null
);

-- Problems that people were told of or will be: notify/. A row is deleted once the end of its problem was told.
create table notice (
    target        text        not null,  -- a webhook, or a service of Apprise
    membership    text        not null,
    kind          text        not null,  -- problems.explain.Unit
    value         text        not null,
    app_version   text        not null,
    listed_at     timestamptz not null,  -- the end of the window in which it was listed first
    document      text        not null,  -- JSON: the problem as it was listed last
    is_told       boolean     not null,  -- the target was told that the problem began
    absent_since  timestamptz,           -- the end of the first window in which it was not listed; NULL: it is listed
    ended_at      timestamptz,           -- absent_since, once it stayed away long enough; NULL: it has not ended
    looked_until  timestamptz not null,  -- the end of the window that was looked at last
    primary key (target, membership, kind, value, app_version)
);
