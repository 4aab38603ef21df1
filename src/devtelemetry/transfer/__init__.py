"""Import and export of samples as NDJSON, one JSON object a line: docs/protocol.md, `import`.

Import treats a sample like a pushed one (check → batch → rows), but takes the recorded createdAt
and not the clock. Export writes the samples as they are stored: one line for each receipt, with the
sentAt that counts. A receiver has its pseudonym, because its public key is not known. After the
samples come the numbers that arrived, the reports that are lost, and what receivers said of joining
and leaving. Heartbeats are not samples and are not exported.

An export that is imported into the same database gives only duplicates; into another database, the
same samples. An export of that database has the same bytes if both have the same id key, else the
same lines in another order.

    fields     the names of fields, and what each may hold. Pure
    parse      reads and checks one line. Pure
    write      turns rows into lines. Pure
    files      a file of lines, packed or not
    plain      reads an ordinary sample's line in one step. Pure
    reading    reads lines, batch by batch
    importing  stores what was read
    processes  the same by several processes
    exporting  writes all samples
"""
