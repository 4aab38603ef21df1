"""The bits of `receipt.state`: receipt_state in schema/samples.sql."""

VIA = 96  # how it came: VIA_UNIT times the wire's number of via
VIA_UNIT = 32
UNREADABLE = 128
DROPPED = 256
SEND_FAILED = 512  # its author could not send it, by a sample of its own
ENVELOPE_FAILED = 1024  # likewise, by its report of the envelope
NOT_HELD = 2048
MARK = 4096  # there is no sample, only an author's mark
