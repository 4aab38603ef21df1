create function known_delay(delays smallint) returns smallint
immutable parallel safe language sql
return case when delays < 16 then -1 when delays % 16 = 0 then delays else delays % 16 end;

-- NULL in a new column: the window was computed before it was kept.
alter table reliability_window
    add column over_channels    numeric[],
    add column over_receivers   numeric[],
    add column over_parts       numeric[],
    add column delivery_delays  bigint[],
    add column report_delays    bigint[],
    add column median           double precision,
    add column trimmed          double precision,
    add column influence        double precision,
    add column unseen           double precision,
    add column sample_coverage  double precision;

alter table reliability_channel
    add column over_parts       numeric[],
    add column delivery_delays  bigint[],
    add column report_delays    bigint[],
    add column captures         bigint[],
    add column median           double precision,
    add column trimmed          double precision,
    add column influence        double precision;

create table reliability_group (
    channel_id       bigint      not null,
    timeframe        text        not null,
    window_start     timestamptz not null,
    membership       text        not null,
    dimension        text        not null check (dimension in ('platform', 'app_version', 'message_type')),
    is_rest          boolean     not null,
    value            text        not null,
    messages         bigint      not null,
    receivers        bigint      not null,
    expected         bigint      not null,
    missing          bigint      not null,
    corroborated     bigint      not null,
    unknown          bigint      not null,
    over_channels    numeric[]   not null,
    over_receivers   numeric[]   not null,
    over_parts       numeric[]   not null,
    delivery_delays  bigint[]    not null,
    report_delays    bigint[]    not null,
    primary key (timeframe, window_start, membership, channel_id, dimension, is_rest, value)
);

create index receipt_mark on receipt (sent_at) include (channel_id, message_id, receiver_id, kind)
where created_at is null;
