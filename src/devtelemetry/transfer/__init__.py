"""Samples as NDJSON, in and out: one JSON object a line, as docs/protocol.md has it under `import`.

What is read goes the way of what is pushed (check → batch → rows), with the recorded createdAt
instead of the clock. What is written are the samples as they are stored: one line a receipt, with
the sentAt that counts; a receiver by its pseudonym, since its public key is not known. Into the
same database that imports as nothing but duplicates, into another one as the same samples, so that
exporting it again gives the same bytes if both have the same id key, and the same lines in another
order if not. Which numbers of an installation's reports arrived, which are lost, and what receivers
said of joining and leaving, comes after the samples. Heartbeats, which show that a receiver without
new messages was still there, are no samples and are not in it.

    fields     the names of fields, and what each may hold. Pure
    parse      what a line says, checked. Pure
    write      rows as lines. Pure
    files      a file of lines, packed or not
    plain      lines that say a sample and nothing odd, at once. Pure
    reading    lines to what they say, batch by batch
    importing  what they say into the database
    processes  the same by several processes
    exporting  all samples out of it
"""
