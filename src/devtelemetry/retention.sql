-- name: has_receipts
select exists (select from receipt where sent_at >= $1::bigint and sent_at < $2::bigint)

-- name: delete_messages
delete from message where sent_at >= $1::bigint and sent_at < $2::bigint

-- name: delete_arrivals
delete from arrival where sent_minute >= $1::bigint and sent_minute < $2::bigint

-- name: delete_envelopes
-- Both halves are of no use without the message, whose samples are gone.
with of_messages as (
    delete from message_envelope where created_at < $1::bigint
)
delete from sent_envelope where created_at < $1::bigint

-- name: remember_cleaned
insert into cleaned_day (day_start) values ($1::bigint)
on conflict do nothing

-- name: delete_opt_outs
delete from opt_out where forgotten_at < $1::bigint
