-- Which windows were sent to the store of time series, and which still wait.

-- name: begin
-- Has an effect only once, when publishing is switched on. Windows settled before are history and do not wait; the
-- command `publish` sends them if asked to.
with first as (
    update deployment set publishing_since = $now::timestamptz where publishing_since is null
    returning publishing_since
)
update reliability_window
set published_settled = 0
where exists (select 1 from first) and state = 'settled' and published_settled is null

-- name: waiting
-- A slice of the windows of a policy whose state was not sent yet, oldest first. A series does not name the policy, so
-- a window that was sent under another policy does not wait.
select timeframe, window_start, window_end
from reliability_window w
-- include: waits.sql
order by window_end, timeframe
limit $slice::integer

-- name: count_waiting
-- How many windows `waiting` selects in all.
select count(*)
from reliability_window w
-- include: waits.sql

-- name: within
-- Windows of a policy that overlap [start, end), oldest first, in slices. A slice begins after the last window of the
-- previous slice, by (window_end, timeframe).
-- in   membership; start, end, timeframe: NULL for any; after_end, after_timeframe; slice: how many
select timeframe, window_start, window_end
from reliability_window
where membership = $membership::text
  and ($start::timestamptz is null or window_end > $start::timestamptz)
  and ($end::timestamptz is null or window_start < $end::timestamptz)
  and ($timeframe::text is null or timeframe = $timeframe::text)
  and (window_end, timeframe) > ($after_end::timestamptz, $after_timeframe::text)
order by window_end, timeframe
limit $slice::integer

-- name: count_within
-- How many windows `within` selects in all.
select count(*)
from reliability_window
where membership = $membership::text
  and ($start::timestamptz is null or window_end > $start::timestamptz)
  and ($end::timestamptz is null or window_start < $end::timestamptz)
  and ($timeframe::text is null or timeframe = $timeframe::text)

-- name: mark
-- Marks these states of windows of a policy as sent now, with the figures of that revision. A window that was computed
-- again meanwhile may have another state by now, which still waits.
update reliability_window w
set published_provisional = case d.state when 'provisional' then d.revision else w.published_provisional end,
    published_settled = case d.state when 'settled' then d.revision else w.published_settled end,
    published_at = $now::timestamptz
from unnest($timeframes::text[], $window_starts::timestamptz[], $states::text[], $revisions::integer[])
    as d (timeframe, window_start, state, revision)
where w.membership = $membership::text and w.timeframe = d.timeframe and w.window_start = d.window_start

-- name: unmark
-- Windows that were sent last, and up to an interval before that, wait again: a store that is away may have been
-- killed, and may have lost what it had not written yet. Each state waits again only once, else a store that fails now
-- and then would get the same windows for ever. A window that was computed again since does not wait, because the store
-- may have kept the first value.
update reliability_window
set published_provisional = case state when 'provisional' then null else published_provisional end,
    published_settled = case state when 'settled' then null else published_settled end,
    published_again = state
where membership = $membership::text
  and published_again is distinct from state
  and case state when 'settled' then published_settled else published_provisional end = revision
  and published_at >= (
      select max(published_at) - $interval::interval from reliability_window where membership = $membership::text
  )
