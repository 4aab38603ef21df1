create table settled_deliveries (
    timeframe   text   not null,
    membership  text   not null,
    deliveries  bigint not null,
    good        bigint not null,
    primary key (timeframe, membership)
);
