-- Windows that could not be computed.

-- name: failed
select timeframe, window_start, failures, failed_at, error
from failed_window
where membership = $membership::text
order by window_start, timeframe

-- name: note_failure
insert into failed_window (timeframe, window_start, membership, failures, failed_at, error)
values ($timeframe, $window_start, $membership, 1, $failed_at, $error)
on conflict (timeframe, window_start, membership) do update
set failures = failed_window.failures + 1, failed_at = excluded.failed_at, error = excluded.error

-- name: forget_failure
delete from failed_window
where timeframe = $timeframe::text and window_start = $window_start::timestamptz and membership = $membership::text
