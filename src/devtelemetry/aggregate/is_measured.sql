-- Whether a message of this kind in this channel is measured. A part of statements.
--
-- in   unmeasured_kinds      integer[]: sample_kind.kind of the message types that are not measured
--      status_go_kinds       integer[]: the kinds of messages that came by status-go's interface
--      unmeasured_patterns   text[]: LIKE patterns of the channels that are not measured
--      pattern_is_status_go  boolean[]: whether each is for status-go's messages
kind <> all ($unmeasured_kinds::integer[])
and (channel_id, kind = any ($status_go_kinds::integer[])) not in (
    select channel_id, pattern.is_status_go
    from channel
    join unnest($unmeasured_patterns::text[], $pattern_is_status_go::boolean[]) as pattern (text, is_status_go)
        on external_id like pattern.text
)
