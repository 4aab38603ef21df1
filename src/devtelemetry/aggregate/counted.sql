-- The receivers that count in a window, and the silent members. Reads `held` and `measured`.
-- Source: docs/algorithm.md, "One window, one channel" and "Who is believed".
--
-- in   start_ms, end_ms         of the window, Unix ms, half-open, whole minutes
--      membership               present | window | bracketed
--      fewest_installations     if fewer installations count in a channel, all of them are believed
--      those of spans.sql and counting.sql
create temp table counted on commit drop as
with
-- The first and last receipt of each receiver of the channel within the window, measured or not.
receiver_of_window as (
    select
        channel_id,
        receiver_id,
        bool_or(m.channel_id is not null) as has_measured,
        min(first_sent_at) filter (where state < 4096) as first_sent_at,
        max(last_sent_at) filter (where state < 4096) as last_sent_at
    from held
    left join measured m using (channel_id, kind)
    group by channel_id, receiver_id
),

-- include: counting.sql

counted as (
    select channel_id, receiver_id, from_sent_at, to_sent_at, stays, false as is_silent from counting
    union all
    select channel_id, receiver_id, null, null, null, true from silent_member
)

select
    counted.*,
    coalesce(installation_id, receiver_id) as installation_id,
    bucket_id
from counted
join receiver using (receiver_id)
