"""What a process may find odd where it starts, put right before anything else runs.

Imports little: it comes before all that takes long.
"""

import io
import os
import signal
import sys

_STANDARD = (0, 1, 2)


def make_ready(*, status_of_sigterm: int) -> None:
    """For the whole program, once.

    status_of_sigterm  with which SIGTERM ends it from now on, until something has begun that must
                       be ended in order. By itself it ends no process that is the first one of a
                       container
    """
    _open_standard_files()
    # gRPC's core writes to stderr by itself: a line for each stranger who does not speak TLS.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show is no reason to say nothing.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(status_of_sigterm))


def _open_standard_files() -> None:
    """Where one is closed: /dev/null. Else the next file or socket would be taken for it."""
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            # The least number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or _text(0, "r")
    sys.stdout = sys.stdout or _text(1, "w")
    sys.stderr = sys.stderr or _text(2, "w")


def _text(number: int, mode: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(open(number, f"{mode}b", closefd=False), encoding="utf-8")
