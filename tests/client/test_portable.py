"""The client uses nothing that only POSIX systems have: most desktops run Windows.

There is no Windows to test on. The tests remove the modules and functions of POSIX, and show that
the client needs none of them.
"""

import os
import subprocess
import sys
from pathlib import Path

from support.clients import eventually
from support.push_server import push_server

# Modules and functions that exist only on Unix, by Python's documentation.
MODULES = ["fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"]
FUNCTIONS = [
    *("chown", "fchmod", "fchown", "fork", "forkpty", "getpgid", "getuid", "kill", "killpg"),
    *("lchown", "lockf", "mkfifo", "mknod", "nice", "openpty", "posix_fadvise", "posix_fallocate"),
    *("pread", "preadv", "pwrite", "pwritev", "register_at_fork", "sendfile", "setsid", "sync"),
    *("fdatasync", "statvfs", "uname", "wait3", "waitid"),
]

SCRIPT = """
import builtins, os, select, signal, socket, sys, time

real_import = builtins.__import__
def without_posix(name, *rest, **named):
    if name in {modules} and "devtelemetry" in sys._getframe(1).f_globals["__name__"]:
        raise ModuleNotFoundError(name, name=name)
    return real_import(name, *rest, **named)

import grpc  # and what it needs of the system is its own affair
from devtelemetry.v1 import telemetry_pb2

builtins.__import__ = without_posix
for name in {functions}:
    if hasattr(os, name):
        delattr(os, name)
for name in ("poll", "epoll"):
    delattr(select, name)
for name in ("clock_gettime", "clock_gettime_ns", "CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
    delattr(time, name)
del socket.AF_UNIX

from devtelemetry.client import Settings, TelemetryClient, Timing, shown
from devtelemetry.client.cli import run

settings = Settings({path!r})
client = TelemetryClient(
    settings, {server!r}, receiver_public_key="0x04aa", timing=Timing(batch=0.05, flush=0.01)
)
client.start()
settings.enable()
at = time.time_ns() // 1_000_000 + 1000
client.channel_joined("c")
for number in range(20):
    client.message_received(message_id=f"m{{number}}", channel_id="c", sent_at=at)
while settings.status().acknowledged < 20:
    time.sleep(0.01)
assert run(["show", "--settings", {path!r}]) == 0
print("woken by another", flush=True)
sys.stdin.readline()  # by then another process has opted out
while settings.status().leaving:
    time.sleep(0.01)
client.close()
"""


def test_the_client_runs_where_nothing_of_posix_is_there(tmp_path: Path) -> None:
    path = str(tmp_path / "node.db")
    with push_server() as server:
        script = SCRIPT.format(
            modules=MODULES, functions=FUNCTIONS, path=path, server=server.address
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        assert process.stdout is not None
        assert any("woken" in line for line in process.stdout)
        assert len(set(server.message_ids)) == 20
        opt_out = [sys.executable, "-m", "devtelemetry", "client", "disable", "--settings", path]
        subprocess.run(opt_out, check=True, capture_output=True)
        # This comes long before its next heartbeat, so the other process has woken it.
        eventually(lambda: server.pushed[-1].forget)
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
