"""Files of the data directory, and locks on them."""

import fcntl
import os
from pathlib import Path


def make_private_dir(path: Path) -> None:
    """Make path with mode 0700 if it is absent, and its parents with the usual mode."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)


def open_private(path: Path, flags: int) -> int:
    """Open a file of the data directory for writing, made 0600 if absent.

    It belongs to the owner of the directory, so that files made by root do not lock out the user.
    A symbolic link is not followed, because root may open the file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def try_lock(path: Path, operation: int) -> int | None:
    """A descriptor that holds the flock; None if another process has it."""
    descriptor = open_private(path, 0)
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unlock(descriptor: int) -> None:
    """Release a flock for certain, and close.

    After closing alone, a child that another thread has just forked would still hold the flock
    until it executes its program. postgres.lock is only closed: a child is meant to keep it.
    """
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def describe(error: OSError, data_dir: Path) -> str:
    return (
        f"cannot use the data directory {data_dir}: {error.filename or 'system'}:"
        f" {error.strerror or error}"
    )
