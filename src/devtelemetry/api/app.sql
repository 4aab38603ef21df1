-- Whether the server is ready.

-- name: write
-- Changes no value, but still writes to the disk.
update clock_seen set seen_at = seen_at
