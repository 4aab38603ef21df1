"""Runs one program of PostgreSQL as a user other than root, and apart from our terminal.

`identity.py` starts this file as a program of its own. The user must be changed between fork and
exec: code that runs there in a threaded program can deadlock, and the kernel refuses `unshare` to
a process with threads. It imports only the standard library, so it starts in 20 ms.

    python -I -S _launch.py IDENTITY UID GID STAY [COMMAND [ARGUMENT …]]

    IDENTITY  as_is           change nothing; UID and GID are ignored
              user_namespace  a user namespace in which our one uid and gid are called UID and GID
              account         become UID and GID, with no other group
    STAY      wait            COMMAND replaces this process: the caller sees its exit status
              detach          COMMAND becomes a child of init; exit status 0 once it is forked

Without COMMAND the exit status shows whether the identity is possible here.

File descriptors that the caller passed on stay open in COMMAND, which so inherits locks. If the
identity or the program fails: exit status 126, and one line on standard error.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000  # linux/sched.h; os.unshare came with Python 3.12 only


def _enter_user_namespace(inner_uid: int, inner_gid: int) -> None:
    """Give this process another uid and gid, in a namespace of its own.

    Files that it makes still belong to the real uid and gid. The powers of root are gone: the
    inner uid is not 0, so the following exec drops all capabilities.
    Raises OSError if the kernel, its settings or a sandbox forbid it.
    """
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"no user namespace: {os.strerror(code)}")
    # The kernel accepts a gid map from a process without privileges only after "deny".
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{inner_uid} {outer_uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{inner_gid} {outer_gid} 1", encoding="ascii")


def _become(uid: int, gid: int) -> None:
    """Become an account for good. Order matters: after setuid the groups cannot be changed."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main(arguments: list[str]) -> int:
    """Never returns if COMMAND runs in this process; else the exit status."""
    identity, uid, gid, stay, *command = arguments
    try:
        if identity == "user_namespace":
            _enter_user_namespace(int(uid), int(gid))
        elif identity == "account":
            _become(int(uid), int(gid))
        if not command:
            return 0
        # When the parent exits, init becomes the parent. So we need not reap a server that
        # outlives us, and a server that we started looks like one that we found.
        if stay == "detach" and os.fork() > 0:
            return 0
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        program = command[0] if command else "launcher"
        sys.stderr.write(f"FATAL: {program}: {error.strerror}\n")
        sys.stderr.flush()
        return 126


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
