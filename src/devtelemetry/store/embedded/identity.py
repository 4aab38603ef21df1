"""As whom PostgreSQL runs, and running its programs as that one.

It refuses to run as root, and whoever starts it, the files must stay their owner's. Root therefore
becomes somebody else, between fork and exec and in a program of its own: `_launch.py`.
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
    """As whom PostgreSQL runs."""

    how: Literal["as_is", "user_namespace", "account"]
    uid: int  # for the launcher: the account, or the name of our uid inside the namespace
    gid: int
    owner_uid: int  # of the files, as the rest of the system sees it
    owner_gid: int

    def own(self, path: Path) -> None:
        """Make what we just made the identity's. Only root makes things for somebody else."""
        if os.geteuid() == 0:
            os.chown(path, self.owner_uid, self.owner_gid, follow_symlinks=False)

    def give(self, tree: Path) -> None:
        """Make everything in tree its own, the top last: a kill in between is seen, and redone.

        Needed when root's cluster was made in a user namespace and these are forbidden now.
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

        command  none: the exit status tells whether the identity can be had
        text     its standard input
        output   where its output and errors go, together; returned as stdout by default
        lock     an open lock that it inherits

        Ctrl-C reaches the terminal's foreground processes: PostgreSQL must not be one of them, else
        it would be gone before the application has shut down. Raises EmbeddedError at deadline.
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
                cwd="/",  # ours may be out of reach for the identity
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
    """As whom to run `postgres` on `pgdata`; what that one must reach is reachable afterwards.

    Not root: as we are. Root: as the owner of an existing directory, so that a user's data
    stays the user's; root's own directory in a user namespace, where root is called
    otherwise; where that is forbidden, as in most containers, with an existing account.
    Raises EmbeddedError if none of these works.
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
        "PostgreSQL must not run as root, and no other way works here"
        f" ({'; '.join(refusals) or 'no account in /etc/passwd'}): start devtelemetry as an"
        " ordinary user"
    )


def _try(identity: Identity, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return identity.run(command, deadline=time.monotonic() + _TRIAL_TIMEOUT_SECONDS)


def _identities_for_root() -> Iterator[Identity]:
    """Ways for root not to be root, best first."""
    accounts = sorted(
        (entry for entry in pwd.getpwall() if entry.pw_uid != 0),
        key=lambda entry: (entry.pw_name != "postgres", entry.pw_name != "nobody"),
    )
    if accounts:
        # Files stay root's and nothing is opened up to anybody. initdb wants a name for the uid.
        yield Identity("user_namespace", accounts[0].pw_uid, accounts[0].pw_gid, 0, 0)
    for entry in accounts:
        if entry.pw_name in {"postgres", "nobody"}:
            ids = entry.pw_uid, entry.pw_gid
            yield Identity("account", *ids, *ids)


def _make_reachable(path: Path, identity: Identity) -> None:
    """Let the identity search the directories above path: o+x where it is needed, and no more.

    Said in the log, since others may search them then too (they still cannot list them).
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
    """What PostgreSQL's programs see: no PG* that would mislead them, none of our secrets."""
    kept = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}


def last_words(output: str) -> str:
    """What a program said when it failed, as one line: its errors and hints, else its end."""
    lines = [_LOG_PREFIX.sub("", line).strip() for line in output.splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if _TELLING.search(line)]
    return " | ".join((telling or lines)[-3:]) or "it said nothing"
