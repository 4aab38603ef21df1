-- Made-up figures, for bench/months.py.

-- name: chance
-- 0 <= chance < 1, and equal arguments give equal chance.
create or replace function pg_temp.chance(place bigint, seed bigint) returns float8
language sql immutable as
$$ select (hashint8extended(place, seed) & 1048575) / 1048576.0::float8 $$

-- name: delays
-- Delivered pairs by class of delay: most within a second, a tenth unknown.
create or replace function pg_temp.delays(delivered bigint) returns bigint[]
language sql immutable as
$$
    select array[
        (delivered * 0.1)::bigint, 0,
        delivered - (delivered * 0.1)::bigint
            - (delivered * 0.16)::bigint
            - (delivered * 0.08)::bigint
            - (delivered * 0.05)::bigint
            - (delivered * 0.03)::bigint
            - (delivered * 0.02)::bigint
            - (delivered * 0.012)::bigint
            - (delivered * 0.008)::bigint
            - (delivered * 0.006)::bigint
            - (delivered * 0.004)::bigint,
        (delivered * 0.16)::bigint, (delivered * 0.08)::bigint, (delivered * 0.05)::bigint,
        (delivered * 0.03)::bigint, (delivered * 0.02)::bigint, (delivered * 0.012)::bigint,
        (delivered * 0.008)::bigint, (delivered * 0.006)::bigint, (delivered * 0.004)::bigint
    ]
$$

-- name: spread
-- The spread of x missing among n corroborated pairs, unevenly over so many clusters.
create or replace function pg_temp.spread(clusters bigint, x numeric, n numeric) returns numeric[]
language sql immutable as
$$
    select array[
        clusters, least(ceil(x * x * 1.6 / clusters) + x, x * x), ceil(x * n / clusters),
        ceil(n * n * 1.05 / clusters)
    ]
$$

-- name: made_channel
-- The properties of the channels.
create temp table made_channel (
    channel_id bigint, number integer, receivers bigint, busy float8, loss float8
)

-- name: fill_channels
-- $1 their ids, $2 the seed. Every seventeenth has only one receiver, so it is not comparable.
insert into made_channel
select
    id, number,
    case when number % 17 = 16 then 1 else 4 + (60 * pg_temp.chance(number, $2::bigint) ^ 3)::bigint end,
    1 + 12 * pg_temp.chance(number, $2::bigint + 1) ^ 2,
    0.004 + 0.06 * pg_temp.chance(number, $2::bigint + 2) ^ 4
from unnest($1::bigint[]) with ordinality as c (id, number)

-- name: hours
-- The channels in hours that begin in [$1, $2). From $3 on some lose more. $4 the seed.
insert into reliability_channel (
    channel_id, timeframe, window_start, membership, messages, receivers, expected, missing, corroborated, unknown,
    over_memberships, delivery_delays, report_delays, captures, median, trimmed, influence
)
select channel_id, '1h', at, 'present', 
    messages, receivers, expected, missing, corroborated, unknown,
    case when receivers > 1 then pg_temp.spread(receivers, missing, corroborated) else array[0, 0, 0, 0] end,
    pg_temp.delays(expected - missing), '{}',
    array[expected - missing, messages / 50, messages / 25, messages / 50],
    1 - missing::float8 / nullif(corroborated, 0), 1 - missing::float8 / nullif(corroborated, 0),
    case when receivers > 2 then least(0.5, missing::float8 / nullif(expected, 0) / receivers * 3) end

from (
    select
        *, greatest(missing, expected - (messages * 0.04)::bigint) as corroborated,
        (expected * 0.02 * pg_temp.chance(place, 9))::bigint as unknown
    from (
        select
            *, messages * greatest(receivers - 1, 0) as expected,
            least(
                messages * greatest(receivers - 1, 0),
                (messages * (receivers - 1) * loss * (0.4 + 1.2 * pg_temp.chance(place, 7))
                    * case when at >= $3::timestamptz and number % 60 = 2 then 7 else 1 end
                    + pg_temp.chance(place, 8) * 0.8)::bigint
            ) as missing
        from (
            select
                c.*, at, c.number::bigint * 1000003 + extract(epoch from at)::bigint / 3600 as place,
                (c.busy * (1.1 - cos(extract(hour from at at time zone 'UTC') / 12 * pi()))
                    * (0.5 + pg_temp.chance(c.number::bigint * 7919 + extract(epoch from at)::bigint, $4::bigint))
                )::bigint as messages
            from made_channel c
            cross join generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', interval '1 hour') as at
        ) busy
        where messages > 0
    ) lost
) h
order by at, channel_id

-- name: repeated
-- The channels in hours that begin in [$1, $2), copied from a week before.
insert into reliability_channel (
    channel_id, timeframe, window_start, membership, messages, receivers, expected, missing, corroborated, unknown,
    over_memberships, delivery_delays, report_delays, captures, median, trimmed, influence
)
select
    channel_id, timeframe, window_start + interval '7 days', membership, messages, receivers, expected, missing,
    corroborated, unknown, over_memberships, delivery_delays, report_delays, captures, median, trimmed, influence
from reliability_channel
where timeframe = '1h' and membership = 'present'
  and window_start >= $1::timestamptz - interval '7 days' and window_start < $2::timestamptz - interval '7 days'
order by window_start, channel_id

-- name: longer
-- Channels in windows of timeframe $1, $2 long, that are due at $3: the sums of their hours.
insert into reliability_channel (
    channel_id, timeframe, window_start, membership, messages, receivers, expected, missing, corroborated, unknown,
    over_memberships, delivery_delays, report_delays, captures, median, trimmed, influence
)
select channel_id, $1::text, at, 'present', 
    messages, receivers, expected, missing, corroborated, unknown,
    case when receivers > 1 then pg_temp.spread(receivers, missing, corroborated) else array[0, 0, 0, 0] end,
    pg_temp.delays(expected - missing), '{}',
    array[expected - missing, messages / 50, messages / 25, messages / 50],
    1 - missing::float8 / nullif(corroborated, 0), 1 - missing::float8 / nullif(corroborated, 0),
    case when receivers > 2 then least(0.5, missing::float8 / nullif(expected, 0) / receivers * 3) end

from (
    select
        channel_id, date_bin($2::interval, window_start, timestamptz '1970-01-05 00:00Z') as at,
        sum(messages)::bigint as messages, max(receivers) as receivers, sum(expected)::bigint as expected,
        sum(missing)::bigint as missing, sum(corroborated)::bigint as corroborated, sum(unknown)::bigint as unknown
    from reliability_channel
    where timeframe = '1h' and membership = 'present'
    group by 1, 2
) h
where at + $2::interval <= $3::timestamptz - interval '6 hours'
order by at, channel_id

-- name: windows
-- The windows over the channels; $1 timeframe, $2 its length, $3 now.
insert into reliability_window (
    timeframe, window_start, window_end, membership, state, reliability, messages, receivers, expected, missing,
    corroborated, unknown, revision, computed_at, over_channels, over_receivers, over_memberships, delivery_delays,
    report_delays, median, trimmed, influence, unseen, sample_coverage
)
select
    $1::text, window_start, window_start + $2::interval, 'present',
    case when window_start + $2::interval > $3::timestamptz - interval '1 day' then 'provisional' else 'settled' end,
    avg(1 - missing::float8 / expected), sum(messages), sum(receivers), sum(expected), sum(missing),
    sum(corroborated), sum(unknown), 1, window_start + $2::interval + interval '61 minutes',
    array[
        count(*) filter (where corroborated > 0), sum(missing::numeric ^ 2), sum(missing::numeric * corroborated),
        sum(corroborated::numeric ^ 2)
    ],
    pg_temp.spread(greatest(2, sum(receivers)::bigint / 3), sum(missing), sum(corroborated)),
    array[sum(over_memberships[1]), sum(over_memberships[2]), sum(over_memberships[3]), sum(over_memberships[4])],
    pg_temp.delays(sum(expected - missing)::bigint), '{}',
    1 - sum(missing)::float8 / sum(corroborated), 1 - sum(missing)::float8 / sum(corroborated),
    max(influence) / count(*) * 2, sum(messages) * 0.004, 0.993
from reliability_channel
where timeframe = $1::text and receivers > 1 and expected > 0
group by window_start
order by window_start

-- name: groups
-- The groups of windows, or of one channel. $1 timeframe; from $2 on a version loses more.
-- The template takes the source of the groups, and their columns for clusters.
insert into reliability_group (
    channel_id, timeframe, window_start, membership, dimension, is_rest, value, messages, receivers, expected, missing,
    corroborated, unknown, over_channels, over_receivers, over_memberships, delivery_delays, report_delays
)
select
    {channel_id}, timeframe, window_start, membership, dimension, is_rest, value, messages, receivers, expected,
    missing, corroborated, unknown, {over_channels},
    pg_temp.spread(greatest(1, {clusters}), missing, corroborated),
    pg_temp.spread(greatest(1, receivers), missing, corroborated),
    pg_temp.delays(expected - missing), pg_temp.delays(expected - missing)
from (
    select
        channel_id, timeframe, window_start, membership, dimension, is_rest, value, number, messages,
        greatest(1, (receivers * share)::bigint) as receivers,
        case when number = 1 then expected - rest_expected else part_expected end as expected,
        case when number = 1 then missing - rest_missing else part_missing end as missing,
        case when number = 1 then corroborated - rest_corroborated else part_corroborated end as corroborated,
        case when number = 1 then unknown - rest_unknown else part_unknown end as unknown
    from (
        select
            *, row_number() over of_one as number,
            coalesce(sum(part_expected) over others, 0)::bigint as rest_expected,
            coalesce(sum(part_missing) over others, 0)::bigint as rest_missing,
            coalesce(sum(part_corroborated) over others, 0)::bigint as rest_corroborated,
            coalesce(sum(part_unknown) over others, 0)::bigint as rest_unknown
        from (
            select
                {channel_id} as channel_id, w.timeframe, w.window_start, w.membership, w.messages, w.receivers,
                w.expected, w.missing, w.corroborated, w.unknown, v.*,
                floor(w.expected * share)::bigint as part_expected,
                floor(w.corroborated * share)::bigint as part_corroborated,
                floor(w.missing * share * least(factor, 1 / share)
                    * case when value = '2.30.1' and w.window_start >= $2::timestamptz then 2.2 else 1 end
                )::bigint as part_missing,
                floor(w.unknown * share)::bigint as part_unknown
            from {table} w cross join 
(values
    ('platform', false, 'android', .40, 1.35), ('platform', false, 'desktop', .27, .45),
    ('platform', false, 'ios', .29, 1.0), ('platform', true, '', .04, 1.0),
    ('app_version', false, '2.31.0', .50, 1.0), ('app_version', false, '2.32.0', .28, .6),
    ('app_version', false, '2.30.1', .18, 1.7), ('app_version', true, '', .04, 1.0),
    ('message_type', false, 'CHAT_MESSAGE', .88, 1.0), ('message_type', false, 'EMOJI_REACTION', .12, 1.0)
) as v (dimension, is_rest, value, share, factor)

            where w.timeframe = $1::text and {where}
        ) parts
        window
            of_one as (partition by window_start, dimension order by share desc),
            others as (partition by window_start, dimension order by share desc
                rows between unbounded preceding and unbounded following exclude current row)
    ) numbered
) g
where expected >= missing and corroborated >= missing and missing >= 0

-- name: defaults
-- Several statements. Classes of missing pairs are made at the end (outcomes).
alter table reliability_window
    alter column unreadable set default 0,
    alter column dropped set default 0,
    alter column not_sent set default 0,
    alter column recovered set default 0,
    alter column by_live set default 0,
    alter column by_history set default 0,
    alter column by_resend set default 0,
    alter column unconfirmed set default 0,
    alter column silent_members set default 0;
alter table reliability_channel
    alter column unreadable set default 0,
    alter column dropped set default 0,
    alter column not_sent set default 0,
    alter column recovered set default 0,
    alter column by_live set default 0,
    alter column by_history set default 0,
    alter column by_resend set default 0,
    alter column unconfirmed set default 0,
    alter column silent_members set default 0;
alter table reliability_group
    alter column unreadable set default 0,
    alter column dropped set default 0,
    alter column not_sent set default 0,
    alter column recovered set default 0,
    alter column by_live set default 0,
    alter column by_history set default 0,
    alter column by_resend set default 0;

-- name: outcomes
-- Several statements.
update reliability_channel
set unreadable = missing / 4, dropped = missing / 16, not_sent = missing / 8, recovered = (expected - missing) / 200,
    by_live = (expected - missing) * 9 / 10, by_history = (expected - missing) / 20, by_resend = (expected - missing) / 50;
update reliability_group
set unreadable = missing / 4, dropped = missing / 16, not_sent = missing / 8, recovered = (expected - missing) / 200,
    by_live = (expected - missing) * 9 / 10, by_history = (expected - missing) / 20, by_resend = (expected - missing) / 50;
update reliability_window w
set unreadable = c.unreadable, dropped = c.dropped, not_sent = c.not_sent, recovered = c.recovered, by_live = c.by_live,
    by_history = c.by_history, by_resend = c.by_resend
from (
    select
        timeframe, window_start, membership, sum(unreadable) as unreadable, sum(dropped) as dropped,
        sum(not_sent) as not_sent, sum(recovered) as recovered, sum(by_live) as by_live, sum(by_history) as by_history,
        sum(by_resend) as by_resend
    from reliability_channel
    group by timeframe, window_start, membership
) c
where w.timeframe = c.timeframe and w.window_start = c.window_start and w.membership = c.membership;
