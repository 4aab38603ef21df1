create function receipt_delay(sent_at bigint, received_at bigint, created_at bigint) returns smallint
immutable parallel safe language sql
return case
    when created_at is null then -1
    when received_at is null then 16 + delay_class(created_at - sent_at)
    else delay_class(received_at - sent_at)
end::smallint;

-- One delay instead of two. In one statement: every day is written anew once.
alter table receipt
    drop constraint receipt_pkey,
    drop column delays,
    add column delay smallint not null
        generated always as (receipt_delay(sent_at, received_at, created_at)) stored,
    add primary key (sent_at, channel_id, message_id, receiver_id) include (kind, delay, sent_by_receiver);

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
