"""The user that PostgreSQL runs as, and running its programs as that user.

PostgreSQL refuses to run as root, and files must keep their owner, whoever starts it. So root
becomes another user, between fork and exec, in a program of its own: `_launch.py`.
"""

import logging
import os
import pwd
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devtelemetry.model.errors import EmbeddedError

_log = logging.getLogger(__name__)

_LAUNCHER = Path(__file__).with_name("_launch.py")
_TRIAL_TIMEOUT_SECONDS = 30.0
_TELLING = re.compile(
    r"FATAL|PANIC|ERROR|DETAIL|HINT|error|detail:|hint:|could not|invalid|unrecognized"
)
_LOG_PREFIX = re.compile(r"^.*?\d{4}-\d\d-\d\d \S+ \w+ \[\d+\] ")


@dataclass(frozen=True)
class Identity:
    """The user that PostgreSQL runs as."""

    how: Literal["as_is", "user_namespace", "account"]
    uid: int  # for the launcher: the account, or what our uid is inside the namespace
    gid: int
    owner_uid: int  # of the files, as the rest of the system sees it
    owner_gid: int

    def own(self, path: Path) -> None:
        """Give the identity a file that we just made. Needed only if we are root."""
        if os.geteuid() == 0:
            os.chown(path, self.owner_uid, self.owner_gid, follow_symlinks=False)

    def give(self, tree: Path) -> None:
        """Give the identity everything in tree, the top last. So after a kill it is done again.

        Needed if root's cluster was made in a user namespace, and namespaces are forbidden now.
        """
        for directory, _, names in os.walk(tree, topdown=False):
            for path in [*(Path(directory, name) for name in names), Path(directory)]:
                self.own(path)

    def run(
        self,
        command: Sequence[str],
        *,
        deadline: float,
        stay: Literal["wait", "detach"] = "wait",
        text: str = "",
        output: int = subprocess.PIPE,
        lock: int | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program of PostgreSQL through the launcher, in a session of its own.

        command  empty: the exit status shows whether the identity is possible
        text     its standard input
        output   where its output and errors go, together; returned as stdout by default
        lock     an open lock that it inherits

        Ctrl-C reaches the foreground processes of the terminal. PostgreSQL must not be one of them,
        or it would stop before the application has shut down. Raises EmbeddedError at deadline.
        """
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER)]
        arguments = [self.how, str(self.uid), str(self.gid), stay, *command]
        try:
            return subprocess.run(  # noqa: S603 - our own program and arguments
                launcher + arguments,
                check=False,
                input=text,
                stdout=output,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                env=environment(),
                cwd="/",  # the identity may not be able to enter ours
                start_new_session=True,
                pass_fds=() if lock is None else (lock,),
                timeout=max(deadline - time.monotonic(), 0.1),
            )
        except subprocess.TimeoutExpired:
            name = Path(command[0] if command else _LAUNCHER).name
            raise EmbeddedError(
                f"{name} did not end in time; is the disk slow? Try again"
            ) from None


def choose_identity(pgdata: Path, postgres: str) -> Identity:
    """The user to run `postgres` on `pgdata` as. Afterwards this user can reach both.

    If we are not root, it is our own user. If we are root and the directory belongs to a user, it
    is that user, so that the user keeps the data. If the directory is root's, it is root itself in
    a user namespace, under another uid. Where namespaces are forbidden, as in most containers, it
    is an existing account. Raises EmbeddedError if none of these works.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        return Identity("as_is", uid, gid, uid, gid)
    owner = (pgdata if pgdata.exists() else pgdata.parent).stat()
    if owner.st_uid != 0:
        candidates = [Identity("account", owner.st_uid, owner.st_gid, owner.st_uid, owner.st_gid)]
    else:
        candidates = list(_identities_for_root())
    refusals = []
    for candidate in candidates:
        trial = _try(candidate, [])
        if trial.returncode == 0:
            _make_reachable(Path(postgres), candidate)
            _make_reachable(pgdata, candidate)
            trial = _try(candidate, [postgres, "-V"])
        if trial.returncode == 0:
            _log.info("PostgreSQL runs as uid %d (%s)", candidate.owner_uid, candidate.how)
            return candidate
        refusals.append(f"{candidate.how} {candidate.uid}: {last_words(trial.stdout)}")
    raise EmbeddedError(
        "PostgreSQL must not run as root, and no other user works here "
        f"({'; '.join(refusals) or 'no account in /etc/passwd'}): start devtelemetry as an "
        "ordinary user"
    )


def _try(identity: Identity, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return identity.run(command, deadline=time.monotonic() + _TRIAL_TIMEOUT_SECONDS)


def _identities_for_root() -> Iterator[Identity]:
    """Identities that root can take, the best first."""
    accounts = sorted(
        (entry for entry in pwd.getpwall() if entry.pw_uid != 0),
        key=lambda entry: (entry.pw_name != "postgres", entry.pw_name != "nobody"),
    )
    if accounts:
        # Files stay root's, and no directory is opened to others. The uid must be that of an
        # account, because initdb wants a name for it.
        yield Identity("user_namespace", accounts[0].pw_uid, accounts[0].pw_gid, 0, 0)
    for entry in accounts:
        if entry.pw_name in {"postgres", "nobody"}:
            ids = entry.pw_uid, entry.pw_gid
            yield Identity("account", *ids, *ids)


def _make_reachable(path: Path, identity: Identity) -> None:
    """Let the identity enter the directories above path: o+x where it is needed, and no more.

    It is logged, because then all users can enter them, too (but not list them).
    """
    for directory in path.resolve().parents:
        found = directory.stat()
        if found.st_uid == identity.owner_uid:
            may = found.st_mode & stat.S_IXUSR
        elif found.st_gid == identity.owner_gid:
            may = found.st_mode & stat.S_IXGRP
        else:
            may = found.st_mode & stat.S_IXOTH
        if not may:
            _log.warning("chmod o+x %s: PostgreSQL runs as %d", directory, identity.owner_uid)
            directory.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)


def environment() -> dict[str, str]:
    """The environment of PostgreSQL's programs: no PG* that misleads them, none of our secrets."""
    kept = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}


def last_words(output: str) -> str:
    """The output of a program that failed, as one line: its errors and hints, else its end."""
    lines = [_LOG_PREFIX.sub("", line).strip() for line in output.splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if _TELLING.search(line)]
    return " | ".join((telling or lines)[-3:]) or "it printed nothing"
