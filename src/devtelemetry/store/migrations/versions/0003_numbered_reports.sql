create table report_run (
    installation_id  bigint not null,
    first_sequence   bigint not null,
    last_sequence    bigint not null,
    first_sent_at    bigint,
    last_sent_at     bigint,
    primary key (installation_id, first_sequence)
) with (fillfactor = 70);

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
