"""Corrects odd surroundings in which a process may start, before anything else runs.

This imports little, because it runs before everything that takes long.
"""

import io
import os
import signal
import sys

_STANDARD = (0, 1, 2)


def make_ready(*, status_of_sigterm: int) -> None:
    """Call this once in the program.

    status_of_sigterm  the exit status after SIGTERM, until a command that must end in order handles
                       the signal itself. Without a handler, SIGTERM does not end the first process
                       of a container
    """
    _open_standard_files()
    # gRPC's core would write a line to stderr for each stranger who does not speak TLS.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot show is escaped and does not cause an error.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(status_of_sigterm))


def _open_standard_files() -> None:
    """Opens /dev/null for each standard file that is closed. Else the next file or socket would get
    its number."""
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            # This takes the least free number, which is `number`.
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or _text(0, "r")
    sys.stdout = sys.stdout or _text(1, "w")
    sys.stderr = sys.stderr or _text(2, "w")


def _text(number: int, mode: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(open(number, f"{mode}b", closefd=False), encoding="utf-8")
