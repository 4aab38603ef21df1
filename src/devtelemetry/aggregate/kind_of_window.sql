-- What was sent in a window: its measured messages, by channel and kind. The first of three passes over the window's
-- receipts; measured.sql reads this table. Source: docs/algorithm.md, "One window, one channel".
--
-- in   start_ms, end_ms         of the window, Unix ms, half-open, whole minutes
--      those of is_measured.sql
--      quorum                   how many installations must vouch for a message
--      algorithm.py fills in what measured_slice.sql reads (receipts), how to count the installations that vouch for a
--      message (voters), and the test whether all vouchers may be in one hand (is_suspect). That test compares only the
--      first and the last voucher by id
--
-- A statement of its own, so that it gets the best plan. Workers read slices of time, each in the order of the key, so
-- no message waits in a hash table for its next receipt. Few rows go from the workers to the leader.
create temp table kind_of_window on commit drop as
with
slice_of_window as (
    -- include: measured_slice.sql slice=0 of=2
    union all
    -- include: measured_slice.sql slice=1 of=2
)

-- The slices are put together in the order of time.
select
    channel_id,
    kind,
    max(timeline) filter (where slice = 0) || max(timeline) filter (where slice = 1) as timeline,
    max(lone_voucher) filter (where slice = 0) || max(lone_voucher) filter (where slice = 1) as lone_voucher,
    max(lone_sent_at) filter (where slice = 0) || max(lone_sent_at) filter (where slice = 1) as lone_sent_at,
    max(lone_is_sent) filter (where slice = 0) || max(lone_is_sent) filter (where slice = 1) as lone_is_sent,
    max(lone_id) filter (where slice = 0) || max(lone_id) filter (where slice = 1) as lone_id,
    max(doubtful_id) filter (where slice = 0) || max(doubtful_id) filter (where slice = 1) as doubtful_id,
    max(doubtful_sent_at) filter (where slice = 0) || max(doubtful_sent_at) filter (where slice = 1) as doubtful_sent_at,
    max(suspect_id) filter (where slice = 0) || max(suspect_id) filter (where slice = 1) as suspect_id,
    max(suspect_sent_at) filter (where slice = 0) || max(suspect_sent_at) filter (where slice = 1) as suspect_sent_at,
    max(capturers) filter (where slice = 0) || max(capturers) filter (where slice = 1) as capturers,
    sum(captures) as captures,
    sum(captured_twice) as captured_twice,
    max(unsent_id) filter (where slice = 0) || max(unsent_id) filter (where slice = 1) as unsent_id,
    max(unsent_sent_at) filter (where slice = 0) || max(unsent_sent_at) filter (where slice = 1) as unsent_sent_at,
    max(authored_id) filter (where slice = 0) || max(authored_id) filter (where slice = 1) as authored_id,
    max(authored_sent_at) filter (where slice = 0) || max(authored_sent_at) filter (where slice = 1) as authored_sent_at,
    max(authored_by) filter (where slice = 0) || max(authored_by) filter (where slice = 1) as authored_by,
    max(several_id) filter (where slice = 0) || max(several_id) filter (where slice = 1) as several_id,
    max(several_sent_at) filter (where slice = 0) || max(several_sent_at) filter (where slice = 1) as several_sent_at
from slice_of_window
group by channel_id, kind
