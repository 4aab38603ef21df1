-- The figures that were computed for audits: audits.py.

-- name: recent_audits
-- The channels of audits whose ids lie in [least_id, end_id), at most `most`, the latest first. An id has the start of
-- its window in front.
select channel_id, external_id
from channel
where external_id like 'devtelemetry-audit/%'
  and external_id collate "C" >= $least_id::text and external_id collate "C" < $end_id::text
order by external_id collate "C" desc
limit $most::integer

-- name: computed_audits
-- The counts of audits, by the audit's position from 1, for windows computed after the audit was sent. If such a window
-- has no row of the channel, everything was lost, and the counts are zeros.
-- in   channel_ids, timeframes, window_starts, sent_by: one each per audit; membership
select
    number,
    coalesce(messages, 0) as messages,
    coalesce(receivers, 0) as receivers,
    coalesce(expected, 0) as expected,
    coalesce(missing, 0) as missing,
    coalesce(corroborated, 0) as corroborated,
    coalesce(unknown, 0) as unknown
from unnest($channel_ids::bigint[], $timeframes::text[], $window_starts::timestamptz[], $sent_by::timestamptz[])
    with ordinality as audit (channel_id, timeframe, window_start, sent_by, number)
join (
    select timeframe, window_start, computed_at from reliability_window where membership = $membership::text
) w using (timeframe, window_start)
left join (
    select timeframe, window_start, channel_id, messages, receivers, expected, missing, corroborated, unknown
    from reliability_channel
    where membership = $membership::text
) c using (timeframe, window_start, channel_id)
where computed_at >= sent_by
