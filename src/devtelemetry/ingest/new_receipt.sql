from (
    select
        sent_at, channel_id, message_id, receiver_id, created_at, received_at, sent_by_receiver, author_offset, kind, clock,
        said, authored_at, envelope_id,
        case when said & 896 <> 0 or created_at is not null
            then coalesce(
                case when vote_clock is not null then array[vote_clock, vote_created_at, vote_sent_at] end,
                array[clock, created_at, sent_at]
            )
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
