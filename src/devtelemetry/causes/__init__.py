"""Down to the cause: which messages of a channel are missing, at whom, and in which pattern.

In the order of the data's way:

    request   what is looked into
    read      of one channel and one window: the messages, who holds them, who should
    found     what comes of it, as values
    classify  pure: a class for each missing pair, the runs of each receiver
    document  JSON, NDJSON, CSV
    show      tables for a person

docs/causes.md defines every term. Computed from samples when it is asked for, and stored nowhere.
"""
