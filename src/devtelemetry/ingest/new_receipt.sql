-- Receipts as they come in; what nearly all have alike is not there (receipts.py).
from (
    select
        sent_at, channel_id, message_id, receiver_id, created_at, received_at, sent_by_receiver, kind, envelope_id,
        coalesce(author_offset, 0) as author_offset,
        coalesce(clock, 1::smallint) as clock,
        coalesce(said, 0::smallint) as said,
        coalesce(authored_at, case when sent_by_receiver then created_at end) as authored_at,
        case
            when vote_clock is not null then array[vote_clock, vote_created_at, vote_sent_at]
            when created_at is not null or coalesce(said, 0) & 896 <> 0
            then array[coalesce(clock, 1), created_at, sent_at]
        end as vote
    from unnest(
        $sent_at::bigint[], $channel_ids::bigint[], $message_ids::bigint[], $receiver_ids::bigint[],
        $created_at::bigint[], $received_at::bigint[], $sent_by_receiver::boolean[], $author_offsets::bigint[],
        $kinds::integer[], $clocks::smallint[], $said::smallint[], $authored_at::bigint[], $envelope_ids::bigint[],
        $vote_clocks::bigint[], $vote_created_at::bigint[], $vote_sent_at::bigint[]
    ) as n (
        sent_at, channel_id, message_id, receiver_id, created_at, received_at, sent_by_receiver, author_offset, kind, clock,
        said, authored_at, envelope_id, vote_clock, vote_created_at, vote_sent_at
    )
) n
