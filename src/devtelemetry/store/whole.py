"""The columns of whole_receipt and whole_message, for statements that change a row.

Such statements cannot use the views (docs/adr/0043-narrow-rows.md). These are texts by name for
`queries`; in a statement, `r` is a row of `receipt` and `m` one of `message`.
"""

_CREATED_AT = "moment_at(r.sent_at, r.created_after, r.rare, 6)"
_VOTE = ", ".join(f"rare_value(r.rare, {number})" for number in (3, 4, 5))
RECEIPT = {
    "created_at": _CREATED_AT,
    "received_at": "moment_at(r.sent_at, r.received_after, r.rare, 7)",
    "authored_at": (
        f"case when r.sent_by_receiver then coalesce(rare_value(r.rare, 2), {_CREATED_AT}) end"
    ),
    "vote": f"case when rare_value(r.rare, 3) is not null then array[{_VOTE}] end",
    "envelope_id": "rare_value(r.rare, 1)",
}

_SAID_FIRST_AT = "moment_at(m.sent_at, m.created_after, m.rare, 3)"
MESSAGE = {
    "said_first_at": _SAID_FIRST_AT,  # created_at
    "typed_at": f"case when m.is_typed then coalesce(rare_value(m.rare, 1), {_SAID_FIRST_AT}) end",
    "typed_sent_at": "case when m.is_typed then coalesce(rare_value(m.rare, 2), m.sent_at) end",
    "message_size": "coalesce(rare_value(m.rare, 4), nullif(m.size_bytes, -1))",
}

# When a receiver first reported a message at all, Unix ms. Here `r` is a row of whole_receipt.
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
