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

-- A database that is in use starts with the newest of what it knows.
insert into clock_seen (seen_at)
select max(at)
from (
    select max(arrived_at) as at from arrival
    union all
    select (extract(epoch from max(computed_at)) * 1000)::bigint from reliability_window
) known
having max(at) is not null;
