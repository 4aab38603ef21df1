-- The receivers that count in one channel and one window, the span of sentAt in which each is expected to hold
-- messages, and its holes. counting.sql decides, as for the figures. Source: docs/algorithm.md, "One window, one
-- channel".
--
-- in   start_ms, end_ms, membership, fewest_installations, and those of spans.sql and counting.sql: as in counted.sql
--      channel_id
--      receiver_ids       bigint[]: the receivers with receipts or marks in the window and the channel; for each:
--      have_measured      boolean[]: whether it holds or sent a measured message
--      first_sent_at, last_sent_at   bigint[]: sentAt of its first and last receipt, measured or not; NULL: only marks
-- out  receiver_id, stays, from_sent_at, to_sent_at (as in counting.sql, inclusive), holes (NULL: none), platform,
--      app_version, installation_id (its own id if it names none), bucket_id; ordered by receiver_id
with
-- Takes the place of the table in counting.sql, which would otherwise read all memberships.
membership as not materialized (
    select * from membership where channel_id = $channel_id::bigint
),

receiver_of_window as (
    select $channel_id::bigint as channel_id, r.*
    from unnest($receiver_ids::bigint[], $have_measured::boolean[], $first_sent_at::bigint[], $last_sent_at::bigint[])
        as r (receiver_id, has_measured, first_sent_at, last_sent_at)
),

-- include: counting.sql

counted as (
    select receiver_id, stays, from_sent_at, to_sent_at from counting
)

select
    receiver_id, stays, from_sent_at, to_sent_at, holes, platform, app_version,
    coalesce(installation_id, receiver_id) as installation_id, bucket_id
from counted
join receiver using (receiver_id)
left join hole_of_receiver using (receiver_id)
order by receiver_id
