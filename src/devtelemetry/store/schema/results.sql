-- What was computed. Conventions: deployment.sql.

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
