"""The bits of `receipt.state`: receipt_state in schema.sql."""

VIA = 96  # how it came: VIA_UNIT times the wire's number of via
VIA_UNIT = 32
UNREADABLE = 128
DROPPED = 256
SEND_FAILED = 512  # its author could not send it, by a sample of its own
ENVELOPE_FAILED = 1024  # likewise, by what it said of the envelope
NOT_HELD = 2048
MARK = 4096  # there is no sample, but a mark of its author

# When a receiver first said anything of a message, Unix ms. For a statement where `r` is a receipt.
FIRST_SAID_AT = """least(
        r.created_at,
        r.authored_at,
        (
            select min(told.created_at)
            from failure told
            where told.sent_at = r.sent_at and told.channel_id = r.channel_id
              and told.message_id = r.message_id and told.receiver_id = r.receiver_id
        )
    )"""
