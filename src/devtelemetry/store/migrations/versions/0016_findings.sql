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
