-- Taking out what receivers reported, so that windows can be computed without it: exclude.py.

-- name: receivers_of
-- The receiver, or those that share its installation or its network.
select other.receiver_id
from receiver one
join receiver other
    on case $hand::text
        when 'installation' then
            coalesce(other.installation_id, other.receiver_id) = coalesce(one.installation_id, one.receiver_id)
        when 'network' then other.receiver_id = one.receiver_id or other.bucket_id = one.bucket_id
        else other.receiver_id = one.receiver_id
    end
where one.receiver_id = $receiver_id::bigint
order by other.receiver_id

-- name: receivers_of_token
select receiver_id from receiver where token = $token::text order by receiver_id

-- name: take_these
with taken as (
    delete from receiver where receiver_id = any ($receiver_ids::bigint[])
    returning receiver_id, owner_id, installation_id
)
insert into forgotten_receiver (receiver_id, owner_id, installation_id)
select receiver_id, owner_id, installation_id from taken
returning receiver_id

-- name: delete_numbers_of
-- Of installations that have no other receiver.
with gone as (
    select installation_id
    from forgotten_receiver
    where receiver_id = any ($receiver_ids::bigint[])
      and installation_id not in (select installation_id from receiver where installation_id is not null)
),
lost as (
    delete from lost_report where installation_id in (select installation_id from gone)
)
delete from report_run where installation_id in (select installation_id from gone)

-- name: reopen_windows
-- As if samples in time had just come: also settled windows over days that are kept are computed again.
update arrival set arrived_at = $now_minute::bigint, arrived_on_time_at = $now_minute::bigint
