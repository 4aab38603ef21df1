-- What is expected of each receiver that counts, and which receivers are alike. Reads `measured`, `counted` and
-- `claimed`. Source: docs/algorithm.md, "One window, one channel" and "Authors and paths".
--
-- in   quorum                 as in reliability.sql
--      most_classes           how many classes of receivers are told apart
--      those of spans.sql
--      {class_key}            the columns that tell classes of receivers apart
--      {class_traits}         platform, app_version and server: each as it is, or '' if it is not told apart
-- out  spans     the spans of sentAt in which the receiver is expected to hold messages
--      from_sent_at, to_sent_at   their bounds without stays; NULL: no bound
--      holes     the spans in which the receiver's reports are missing; NULL: none
--      is_whole  nothing limits what is expected of the receiver
--      class     a number that receivers have in common if they are alike; 0 for all receivers beyond the most frequent
--                classes. So the cost is linear, whatever receivers say of themselves
create temp table member on commit drop as
with
-- include: spans.sql

expectation as (
    select
        channel_id,
        receiver_id,
        from_sent_at,
        to_sent_at,
        stays,
        coalesce(stays, int8multirange(int8range(from_sent_at, to_sent_at, '[]'))) as spans,
        holes
    from counted
    left join hole_of_receiver using (receiver_id)
    -- Channels where M is not empty. Without a quorum, channels stay even if the cap leaves out all their messages:
    -- they are shown.
    where not is_silent and channel_id in (
        select channel_id
        from measured
        left join (
            select channel_id, kind, count(*) as messages from claimed where is_left_out group by channel_id, kind
        ) left_out using (channel_id, kind)
        where $quorum::integer = 1 or cardinality(timeline) > coalesce(messages, 0)
    )
),

alike as (
    select *, dense_rank() over (order by size desc, platform, app_version, server) as rank
    from (
        select
            expectation.*,
            stays is null and from_sent_at is null and to_sent_at is null and holes is null as is_whole,
            {class_traits},
            count(*) over (partition by {class_key}) as size
        from expectation
        join receiver using (receiver_id)
    ) told
)

select
    channel_id,
    receiver_id,
    from_sent_at,
    to_sent_at,
    stays,
    spans,
    holes,
    is_whole,
    case when rank <= $most_classes::integer then rank else 0 end as class,
    case when rank <= $most_classes::integer then platform else '(other)' end as platform,
    case when rank <= $most_classes::integer then app_version else '(other)' end as app_version,
    case when rank <= $most_classes::integer then server else '(other)' end as server
from alike
