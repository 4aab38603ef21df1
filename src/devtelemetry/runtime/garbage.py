"""Python's garbage collector, set for a process that remembers much and makes no cycles of it."""

import gc


def relax() -> None:
    """Makes full collections rare. For a process that takes samples, at its start.

    Ingest remembers hundreds of thousands of small tuples, all alive. With Python's defaults every
    collection walks them again, which takes a third of the processor time
    (docs/evidence/benchmarks.md). Reference counts free them; only what forms cycles, exceptions
    mostly, waits for a collection now.
    """
    gc.collect()
    gc.freeze()  # what start-up made stays anyway
    gc.set_threshold(100_000, 20, 100)
