"""Sets Python's garbage collector for a process that remembers much without making cycles."""

import gc


def relax() -> None:
    """Makes full collections rare. Call it at the start of a process that takes samples.

    Ingest remembers hundreds of thousands of small tuples, all alive. With Python's defaults, every
    collection walks over them again, which takes a third of the processor time
    (docs/evidence/benchmarks.md). Reference counts free the tuples. Only objects in cycles, usually
    exceptions, now wait longer for a collection.
    """
    gc.collect()
    gc.freeze()  # what was made at the start stays anyway
    gc.set_threshold(100_000, 20, 100)
