-- name: add
-- Returns the number of the note; no row if there are already `most` notes.
insert into note (noted_at, app_version, text, created_at)
select $at::timestamptz, $version::text, $text::text, $now::timestamptz
where (select count(*) from note) < $most::integer
returning note_id

-- name: remove
-- Returns the number; no row if there is no such note.
delete from note
where note_id = $note_id::bigint
returning note_id

-- name: read
-- The newest `most` notes about moments in [start, end), the oldest first; NULL: no bound.
select *
from (
    select note_id, noted_at, app_version, text
    from note
    where ($start::timestamptz is null or noted_at >= $start::timestamptz)
      and ($end::timestamptz is null or noted_at < $end::timestamptz)
    order by noted_at desc, note_id desc
    limit $most::integer
) newest
order by noted_at, note_id

-- name: state
-- A value that changes when the notes change.
select array[count(*), coalesce(max(note_id), 0)] from note
