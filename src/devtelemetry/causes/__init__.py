"""Down to the cause: which messages of a channel are missing, at whom, and in which pattern.

In the order of the data's way:

    request   what is looked into
    read      of one channel and one window: the messages, who holds them, who should
    seen      pure: what each receiver says of the messages, and the counts that come of it
    found     what comes of it, as values
    classify  pure: a pattern for each missing pair, the runs of each receiver
    matrix    pure: receivers and messages as rows and columns
    document  JSON, NDJSON, CSV
    show      tables for a person

docs/causes.md defines every term. Computed from samples when it is asked for, and stored nowhere.
"""
