-- Whether a message of this kind in this channel is measured. A part of statements.
--
-- in   unmeasured_kinds      integer[]: sample_kind.kind of the message types that are not measured
--      status_go_kinds       integer[]: the kinds of messages that came by status-go's interface
--      unmeasured_channels   bigint[]: the channels that are not measured
--      channel_is_status_go  boolean[]: whether each is not of status-go's messages, or of the others
kind <> all ($unmeasured_kinds::integer[])
and (channel_id, kind = any ($status_go_kinds::integer[])) not in (
    select * from unnest($unmeasured_channels::bigint[], $channel_is_status_go::boolean[])
)
