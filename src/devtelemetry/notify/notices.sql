-- What a target has to be told about problems under one membership policy.

-- name: listed
-- These problems are listed at `until`, the end of a window. If the target was not yet told that one of them had ended,
-- that problem has not ended after all.
insert into notice (
    target, membership, kind, value, app_version, listed_at, document, is_told, looked_until
)
select
    $target::text, $membership::text, l.kind, l.value, l.app_version, $until::timestamptz, l.document, false,
    $until::timestamptz
from unnest($kinds::text[], $values::text[], $app_versions::text[], $documents::text[])
    as l (kind, value, app_version, document)
on conflict (target, membership, kind, value, app_version) do update
set document = excluded.document, absent_since = null, ended_at = null, looked_until = excluded.looked_until

-- name: absent
-- All other problems are not listed at `until`. Those that were not listed for `patience` have ended.
update notice
set absent_since = coalesce(absent_since, $until::timestamptz),
    ended_at = case
        when absent_since <= $until::timestamptz - $patience::interval then absent_since
    end,
    looked_until = $until::timestamptz
where target = $target::text and membership = $membership::text and ended_at is null
  and (kind, value, app_version) not in (
      select l.kind, l.value, l.app_version
      from unnest($kinds::text[], $values::text[], $app_versions::text[]) as l (kind, value, app_version)
  )

-- name: forgotten
-- Deletes the rows of targets that are not configured any more.
delete from notice
where looked_until < $before::timestamptz

-- name: waiting
-- The notices that the target still has to be told, the oldest first.
select kind, value, app_version, document, ended_at
from notice
where target = $target::text and membership = $membership::text and (not is_told or ended_at is not null)
order by listed_at, kind, value, app_version
limit $most::integer

-- name: told_new
update notice n
set is_told = true
from unnest($kinds::text[], $values::text[], $app_versions::text[]) as t (kind, value, app_version)
where n.target = $target::text and n.membership = $membership::text
  and n.kind = t.kind and n.value = t.value and n.app_version = t.app_version

-- name: told_end
delete from notice
where target = $target::text and membership = $membership::text
  and (kind, value, app_version) in (
      select t.kind, t.value, t.app_version
      from unnest($kinds::text[], $values::text[], $app_versions::text[]) as t (kind, value, app_version)
  )
