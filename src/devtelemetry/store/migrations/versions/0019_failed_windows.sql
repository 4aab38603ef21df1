create table failed_window (
    timeframe     text        not null,
    window_start  timestamptz not null,
    membership    text        not null,
    failures      integer     not null,
    failed_at     timestamptz not null,
    error         text        not null,
    primary key (timeframe, window_start, membership)
);
