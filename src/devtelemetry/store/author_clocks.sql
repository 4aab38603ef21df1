-- How far the clocks of authors are off: author_clocks.py.

-- name: offsets
-- The messages whose author's clock is off by a second or more, and by how many ms (the server's minus the author's).
-- If several receivers say that they wrote a message, their offsets must agree within a second; else the offset is not
-- known.
with told as (
    select r.sent_at, r.channel_id, r.message_id, min({received_at}) as received_at
    from unnest($sent_at::bigint[], $channel_ids::bigint[], $message_ids::bigint[]) as n (sent_at, channel_id, message_id)
    join receipt r using (sent_at, channel_id, message_id)
    where r.sent_by_receiver and r.received_after not between -999 and 999 and r.received_after > -2147483648
    group by r.sent_at, r.channel_id, r.message_id
)
select channel_id, message_id, told.received_at - sent_at as author_offset
from told
join whole_receipt author using (sent_at, channel_id, message_id)
where author.sent_by_receiver
group by sent_at, channel_id, message_id, told.received_at
having bool_and(coalesce(abs(author.received_at - told.received_at) < 1000, false))
