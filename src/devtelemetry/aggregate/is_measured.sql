-- Whether a message of this kind in this channel is measured. A part of other statements.
--
-- in   unmeasured_kinds      integer[]: sample_kind.kind of the message types that are not measured
--      status_go_kinds       integer[]: the kinds of messages that came by status-go's interface
--      unmeasured_channels   bigint[]: the channels that are not measured
--      channel_is_status_go  boolean[]: for each, whether that concerns its messages by status-go's interface, or its
--                            other messages
kind <> all ($unmeasured_kinds::integer[])
and (channel_id, kind = any ($status_go_kinds::integer[])) not in (
    select * from unnest($unmeasured_channels::bigint[], $channel_is_status_go::boolean[])
)
