-- The messages that have one installation or one network as their only voucher, or too few vouchers, and which of them
-- are left out of M. Reads `measured` and `counted`. Source: docs/algorithm.md, "Who is believed".
--
-- in   quorum                   the least number of installations that must vouch for a message
--      weight_cap               the largest share of a channel's messages that counts if one installation or network is
--                               their only voucher
--      fewest_installations     if fewer installations count in a channel, all of them are believed
-- out  one row for each such message. installation_id, bucket_id: its only installation, its only network; NULL: there
--      are several, or it is not known, or the message has too few vouchers
create temp table claimed on commit drop as
with
too_few as materialized (
    select channel_id, kind, message_id, sent_at
    from measured
    cross join lateral unnest(doubtful_id, doubtful_sent_at) as doubtful (message_id, sent_at)
),

alone as materialized (
    select
        channel_id,
        kind,
        message_id,
        sent_at,
        min(coalesce(installation_id, receiver_id)) as installation_id,
        case when count(distinct bucket_id) = 1 and count(bucket_id) = count(*) then min(bucket_id) end as bucket_id
    from measured
    cross join lateral unnest(lone_voucher, lone_id, lone_sent_at) as lone (receiver_id, message_id, sent_at)
    left join receiver using (receiver_id)
    where $quorum::integer = 1  -- with a higher quorum, too_few has them
    group by channel_id, kind, message_id, sent_at
    union all
    select channel_id, kind, message_id, sent_at, null, bucket_id
    from measured
    cross join lateral unnest(neighbor_id, neighbor_sent_at, neighbor_bucket) as neighbor (message_id, sent_at, bucket_id)
    where (channel_id, message_id) not in (select channel_id, message_id from too_few)
),

size_of_channel as (
    select
        channel_id,
        messages,
        installations >= $fewest_installations::integer as has_installations,
        buckets >= $fewest_installations::integer as has_buckets
    from (
        select channel_id, sum(cardinality(timeline)) as messages from measured group by channel_id
    ) sent
    join (
        select
            channel_id,
            count(distinct installation_id) as installations,
            count(distinct bucket_id) as buckets
        from counted
        where not is_silent
        group by channel_id
    ) counts using (channel_id)
),

-- Compared as decimals, so that 29 of 100 messages are not more than a cap of 0.29.
disbelieved_installation as (
    select channel_id, installation_id
    from alone
    join size_of_channel using (channel_id)
    where has_installations and installation_id is not null
    group by channel_id, installation_id, messages
    having count(*) > $weight_cap::double precision::numeric * messages
),

disbelieved_bucket as (
    select channel_id, bucket_id
    from alone
    join size_of_channel using (channel_id)
    where has_buckets and bucket_id is not null
    group by channel_id, bucket_id, messages
    having count(*) > $weight_cap::double precision::numeric * messages
)

select
    *,
    $quorum::integer = 1 and (
        (channel_id, coalesce(installation_id, 0)) in (select channel_id, installation_id from disbelieved_installation)
        or (channel_id, coalesce(bucket_id, 0)) in (select channel_id, bucket_id from disbelieved_bucket)
    ) as is_left_out
from alone
union all
select *, null, null, true from too_few
