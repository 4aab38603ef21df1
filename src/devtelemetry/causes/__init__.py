"""Down to the cause: which messages of a channel are missing, at whom, and in which pattern.

In the order of the data's way:

    request   which channel and window to look into
    read      reads the messages of one channel and window, and who holds and who should hold them
    seen      what each receiver reports of the messages, and the counts that follow. Pure
    found     the results as values
    classify  a pattern for each missing pair, and the runs of each receiver. Pure
    matrix    receivers and messages as rows and columns. Pure
    document  JSON, NDJSON, CSV
    show      tables for a person

docs/causes.md defines every term. All of it is computed from samples on request, and not stored.
"""
