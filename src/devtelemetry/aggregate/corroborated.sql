-- Remembers the installations that reported something that another installation confirms. An installation that never
-- did may be made up. If enough networks are known, messages reported from behind one network alone confirm nobody.
-- Reads `measured` and `held`.
insert into corroborated_installation (installation_id)
select distinct coalesce(installation_id, receiver_id)
from (
    select channel_id, receiver_id
    from (
        select channel_id, receiver_id, receipts as messages
        from held
        join measured using (channel_id, kind)
        union all
        select channel_id, receiver_id, -1
        from measured
        cross join lateral unnest(lone_voucher) as lone (receiver_id)
        union all
        select channel_id, receiver_id, -1
        from measured
        cross join lateral unnest(neighbor_id, neighbor_sent_at) as neighbor (message_id, sent_at)
        cross join lateral (
            select receiver_id
            from receipt r
            where r.sent_at = neighbor.sent_at and r.channel_id = measured.channel_id and r.message_id = neighbor.message_id
            offset 0  -- by the key
        ) voucher
    ) told
    group by channel_id, receiver_id
    having sum(messages) > 0
) confirmed
join receiver using (receiver_id)
where coalesce(installation_id, receiver_id) not in (select installation_id from corroborated_installation)
on conflict do nothing
