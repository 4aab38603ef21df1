-- Receipts as they come in. The values of a message come once, and each receipt has the position of its message.
-- A column comes empty if all receipts have the usual value in it (receipts.py).
from (
    select
        *,
        coalesce(
            other_vote, case when created_at is not null or said & 896 <> 0 then array[clock, created_at, sent_at] end
        ) as vote
    from (
        select
            ($sent_at::bigint[])[message] as sent_at,
            ($channel_ids::bigint[])[message] as channel_id,
            ($message_ids::bigint[])[message] as message_id,
            ($kinds::integer[])[message] as kind,
            ($clocks::smallint[])[message] as clock,
            case when sent_by_receiver then 0 else ($author_offsets::bigint[])[message] end as author_offset,
            receiver_id, created_at, received_at, sent_by_receiver, envelope_id,
            case when vote_clock is not null then array[vote_clock, vote_created_at, vote_sent_at] end as other_vote,
            coalesce(said, 0::smallint) as said,
            coalesce(authored_at, case when sent_by_receiver then created_at end) as authored_at
        from unnest(
            $messages::integer[], $receiver_ids::bigint[], $created_at::bigint[], $received_at::bigint[],
            $sent_by_receiver::boolean[], $said::smallint[], $authored_at::bigint[], $envelope_ids::bigint[],
            $vote_clocks::bigint[], $vote_created_at::bigint[], $vote_sent_at::bigint[]
        ) as n (
            message, receiver_id, created_at, received_at, sent_by_receiver, said, authored_at, envelope_id, vote_clock,
            vote_created_at, vote_sent_at
        )
    ) n
) n
