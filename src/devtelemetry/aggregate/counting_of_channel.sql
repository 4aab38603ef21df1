-- Who counts in one channel and one window, in which span of sentAt each is expected to hold messages, and within which
-- holes nobody can say. Source: docs/algorithm.md, "One window, one channel"; counting.sql decides, as for the figures.
--
-- in   $1 window_start, $2 window_end, $3 membership, $8 to $10 holes: as in reliability.sql
--      $4 channel_id
--      $5, $6, $7, $11              who has receipts or marks in the window and the channel: bigint[] receivers; boolean[]
--                                   whether it holds or sent a measured message; bigint[] sentAt of its first and last
--                                   receipt, measured or not; NULL: marks alone
-- out  receiver_id, from_sent_at, to_sent_at (inclusive; NULL: no bound in the window), holes (NULL: none), platform,
--      app_version; by receiver_id
with
-- In the place of the table, for counting.sql: else all memberships would be read.
membership as not materialized (
    select * from membership where channel_id = $4::bigint
),

receiver_of_window as (
    select $4::bigint as channel_id, r.*
    from unnest($5::bigint[], $6::boolean[], $7::bigint[], $11::bigint[])
        as r (receiver_id, has_measured, first_sent_at, last_sent_at)
),

-- include: counting.sql

counted as (
    select receiver_id, from_sent_at, to_sent_at from counting
)

select receiver_id, from_sent_at, to_sent_at, holes, platform, app_version
from counted
join receiver using (receiver_id)
left join hole_of_receiver using (receiver_id)
order by receiver_id
