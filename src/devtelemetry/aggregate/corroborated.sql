-- Remembers which installations hold something that another one confirms: who never did could be anyone.
-- Goes on from `measured` and `held`.
insert into corroborated_installation (installation_id)
select distinct coalesce(installation_id, receiver_id)
from (
    select channel_id, receiver_id
    from (
        select channel_id, receiver_id, receipts - sent as messages
        from held
        join measured using (channel_id, kind)
        where state < 4096
        union all
        select channel_id, receiver_id, -1
        from measured
        cross join lateral unnest(lone_voucher, lone_is_sent) as lone (receiver_id, is_sent)
        where not is_sent
    ) told
    group by channel_id, receiver_id
    having sum(messages) > 0
) confirmed
join receiver using (receiver_id)
where coalesce(installation_id, receiver_id) not in (select installation_id from corroborated_installation)
on conflict do nothing
