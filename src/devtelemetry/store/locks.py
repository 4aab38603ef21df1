"""PostgreSQL advisory locks: who may do what at the same time, over all servers of a database.

Each is a pair of 32-bit integers; the first says "Dev-Telemetry" to other users of the database.
"""

from enum import IntEnum

NAMESPACE = 0x64_74_6C_6D  # "dtlm"


class Lock(IntEnum):
    MIGRATE = 1  # one server migrates, the others wait
    INGEST = 2  # shared by every ingest transaction; exclusive for who rewrites stored rows
    AGGREGATE = 3  # one server computes windows; shared by an import, which must be whole first
    CLEAN = 4  # one server cleans
    PARTITIONS = 5  # one server adds days
    ENVELOPES = 7  # one transaction at a time matches envelopes with what is said of them
    FORGET = 8  # one server deletes what a forgotten receiver reported
    PUBLISH = 9  # one server sends windows to the store of time series
