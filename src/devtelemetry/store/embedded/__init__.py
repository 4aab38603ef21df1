"""The PostgreSQL that comes with the program, run in a data directory.

    data_dir/                0700
      postgres/              the cluster (PGDATA); postgresql.conf in it is the operator's
      postgres.log, .log.1   what PostgreSQL says; moved over at 10 MiB
      postgres.new/          a first start in progress; worthless, removed by the next start
      socket/                0700, the Unix socket; elsewhere if this path is too long
      *.lock                 the locks below; never remove them

Four locks carry everything. Each is a flock: the kernel drops it when its holder dies, however it
dies, so nothing is left to repair. What runs is never concluded from a process id alone: the
kernel gives ids out again, and a container does not see those of another.

    serve.lock     exclusive   the one `serve`, for its life; holds its pid, as text for people
    control.lock   exclusive   whoever starts or stops PostgreSQL, while it does
    users.lock     shared      every process that uses PostgreSQL, for as long as it does
    postgres.lock  exclusive   PostgreSQL itself: the open file is handed down to the postmaster
                               and so to each of its children, and to initdb before them

They are taken in this order. Rules that follow:

1.  postgres.lock is free ⇔ no process of the cluster is alive, neither the postmaster nor a
    backend that outlived it. Only then is a cluster made or a postmaster started.
2.  users.lock is taken shared, and tried exclusively, only under control.lock. Who leaves and can
    have it exclusively is the last, and nobody joins before PostgreSQL is down.
3.  A process id is only where a signal goes, after its command line was seen to be ours.
"""

from devtelemetry.store.embedded.server import AlreadyServing, EmbeddedServer

__all__ = ["AlreadyServing", "EmbeddedServer"]
