-- Which windows were delivered to the store of time series, and which still are to be.

-- name: begin
-- Once, when publishing is switched on: what was settled before is history, which `publish` sends if it is asked for.
with first as (
    update deployment set publishing_since = $now::timestamptz where publishing_since is null
    returning publishing_since
)
update reliability_window
set published_settled = 0
where exists (select 1 from first) and state = 'settled' and published_settled is null

-- name: waiting
-- Windows of a policy whose state was not delivered yet, oldest first, a slice of them. A series says nothing of the
-- policy: what another one has filled stays.
select timeframe, window_start, window_end
from reliability_window w
-- include: waits.sql
order by window_end, timeframe
limit $slice::integer

-- name: count_waiting
-- How many those are.
select count(*)
from reliability_window w
-- include: waits.sql

-- name: within
-- Windows of a policy that overlap [start, end), oldest first, in slices: those after the last one of the slice before, by
-- (window_end, timeframe).
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
-- How many those are.
select count(*)
from reliability_window
where membership = $membership::text
  and ($start::timestamptz is null or window_end > $start::timestamptz)
  and ($end::timestamptz is null or window_start < $end::timestamptz)
  and ($timeframe::text is null or timeframe = $timeframe::text)

-- name: mark
-- These states of windows of a policy were delivered now, with the figures of that revision. A window that was computed
-- anew meanwhile may have another state by now, which then still waits.
update reliability_window w
set published_provisional = case d.state when 'provisional' then d.revision else w.published_provisional end,
    published_settled = case d.state when 'settled' then d.revision else w.published_settled end,
    published_at = $now::timestamptz
from unnest($timeframes::text[], $window_starts::timestamptz[], $states::text[], $revisions::integer[])
    as d (timeframe, window_start, state, revision)
where w.membership = $membership::text and w.timeframe = d.timeframe and w.window_start = d.window_start

-- name: unmark
-- What was delivered last, and up to an interval before it, waits again: a store that is away may have been killed, and
-- with it what it had taken and not yet written. Once only, else a store that fails every now and then would get the
-- same for ever; and not what was computed anew since, for the store may have kept the first value.
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
