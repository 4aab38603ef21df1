create table notice (
    target        text        not null,
    membership    text        not null,
    kind          text        not null,
    value         text        not null,
    app_version   text        not null,
    listed_at     timestamptz not null,
    document      text        not null,
    is_told       boolean     not null,
    absent_since  timestamptz,
    ended_at      timestamptz,
    looked_until  timestamptz not null,
    primary key (target, membership, kind, value, app_version)
);
