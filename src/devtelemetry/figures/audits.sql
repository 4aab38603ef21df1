-- What was computed of audits: audits.py.

-- name: recent_audits
-- The channels of audits whose ids lie in [$1, $2), $3 at most, the latest first. Ids begin with when their window does.
select channel_id, external_id
from channel
where external_id like 'devtelemetry-audit/%'
  and external_id collate "C" >= $1::text and external_id collate "C" < $2::text
order by external_id collate "C" desc
limit $3::integer

-- name: computed_audits
-- Of audits ($1 channel, $2 timeframe, $3 start of the window, $4 when it had been sent) what was computed since under
-- the policy $5, by their number from 1. One whose window has nothing of it has zeros: all of it was lost.
select
    number,
    coalesce(messages, 0) as messages,
    coalesce(receivers, 0) as receivers,
    coalesce(expected, 0) as expected,
    coalesce(missing, 0) as missing,
    coalesce(corroborated, 0) as corroborated,
    coalesce(unknown, 0) as unknown
from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[]) with ordinality
    as audit (channel_id, timeframe, window_start, sent_by, number)
join (
    select timeframe, window_start, computed_at from reliability_window where membership = $5::text
) w using (timeframe, window_start)
left join (
    select timeframe, window_start, channel_id, messages, receivers, expected, missing, corroborated, unknown
    from reliability_channel
    where membership = $5::text
) c using (timeframe, window_start, channel_id)
where computed_at >= sent_by
