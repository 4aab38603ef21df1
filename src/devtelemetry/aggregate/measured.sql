-- What was sent in a window: its measured messages, channel by channel and kind by kind. The first of two passes over its
-- receipts; reliability.sql goes on from this table. Source: docs/algorithm.md, "One window, one channel".
--
-- in   start_ms, end_ms         of the window, Unix ms, half-open, whole minutes
--      unmeasured_kinds         integer[]: sample_kind.kind of the message types that are not measured
--      status_go_kinds          integer[]: the kinds of messages that came by status-go's interface
--      unmeasured_patterns      text[]: LIKE patterns of the channels that are not measured
--      pattern_is_status_go     boolean[]: whether each is for status-go's messages
--      quorum, weight_cap       how many must vouch for a message; the greatest share of a channel's messages that
--                               exist by the word of one receiver alone
--
-- A statement of its own, so that it can be planned as it is best: workers read slices of time, each in the order of the
-- key, and no message waits in a table of hashes for its next receipt. Few rows go from them to the leader.
create temp table measured on commit drop as
with
unmeasured_channel as not materialized (
    select channel_id, pattern.is_status_go
    from channel
    join unnest($unmeasured_patterns::text[], $pattern_is_status_go::boolean[]) as pattern (text, is_status_go)
        on external_id like pattern.text
),

slice_of_window as (
    -- include: measured_slice.sql slice=0 of=2
    union all
    -- include: measured_slice.sql slice=1 of=2
),

-- Put together in the order of time.
kind_of_channel as (
    select
        channel_id,
        kind,
        max(timeline) filter (where slice = 0) || max(timeline) filter (where slice = 1) as timeline,
        max(lone_voucher) filter (where slice = 0) || max(lone_voucher) filter (where slice = 1) as lone_voucher,
        max(lone_sent_at) filter (where slice = 0) || max(lone_sent_at) filter (where slice = 1) as lone_sent_at,
        max(lone_is_sent) filter (where slice = 0) || max(lone_is_sent) filter (where slice = 1) as lone_is_sent,
        max(doubtful_id) filter (where slice = 0) || max(doubtful_id) filter (where slice = 1) as doubtful_id,
        max(doubtful_sent_at) filter (where slice = 0) || max(doubtful_sent_at) filter (where slice = 1) as doubtful_sent_at,
        max(doubtful_vouchers) filter (where slice = 0) || max(doubtful_vouchers) filter (where slice = 1) as doubtful_vouchers,
        max(doubtful_voucher) filter (where slice = 0) || max(doubtful_voucher) filter (where slice = 1) as doubtful_voucher,
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
)

-- The measured messages of a channel, kind by kind.
-- timeline       their sentAt, ascending
-- lone_*         of each that one receiver alone vouches for: that receiver, ascending; sentAt; whether it sent it
-- doubtful_*     of each that quorum or cap may keep out of M: id, sentAt, how many vouch for it and one of these
-- capturers      of each that one receiver captured: that one
-- unsent_*       of each that nobody but authors reports, one of whom says that it could not be sent: id, sentAt
-- authored_*     of each that one receiver wrote: id, sentAt and that one
-- several_*      of each that several wrote: id, sentAt
select
    channel_id,
    kind,
    timeline,
    coalesce(lone.voucher, '{}') as lone_voucher,
    lone.sent_at as lone_sent_at,
    lone.is_sent as lone_is_sent,
    doubtful_id,
    doubtful_sent_at,
    doubtful_vouchers,
    doubtful_voucher,
    captures,
    captured_twice,
    coalesce(capturers, '{}') as capturers,
    unsent_id,
    unsent_sent_at,
    authored_id,
    authored_sent_at,
    authored_by,
    several_id,
    several_sent_at
from kind_of_channel
cross join lateral (
    select
        array_agg(voucher order by voucher, sent_at) as voucher,
        array_agg(sent_at order by voucher, sent_at) as sent_at,
        array_agg(is_sent order by voucher, sent_at) as is_sent
    from unnest(lone_voucher, lone_sent_at, lone_is_sent) as one (voucher, sent_at, is_sent)
) lone
