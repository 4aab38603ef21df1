"""The PostgreSQL that comes with the program, run in a data directory.

    data_dir/                0700
      postgres/              the cluster (PGDATA); its postgresql.conf is for the operator to edit
      postgres.log, .log.1   the log of PostgreSQL; moved over at 10 MiB
      postgres.new/          a first start in progress; after a crash the next start removes it
      socket/                0700, the Unix socket; elsewhere if this path is too long
      *.lock                 the locks below; never remove them

Four locks decide everything. Each is a flock: the kernel drops it when its holder dies, however
that happens, so nothing is left to repair. A process id alone never shows what runs: the kernel
reuses ids, and a container does not see the ids of another one.

    serve.lock     exclusive   the one `serve`, for its life; has its pid as text, for people
    control.lock   exclusive   the process that starts or stops PostgreSQL, while it does
    users.lock     shared      every process that uses PostgreSQL, for as long as it does
    postgres.lock  exclusive   PostgreSQL itself: the postmaster inherits the open file, and so do
                               all its children, and initdb before them

They are taken in this order. Rules that follow:

1.  postgres.lock is free ⇔ no process of the cluster is alive, neither the postmaster nor a
    backend that outlived it. Only then is a cluster made or a postmaster started.
2.  users.lock is taken, shared or exclusive, only under control.lock. A process that leaves and
    gets it exclusively is the last user, and nobody can join before PostgreSQL is down.
3.  A process id only says where a signal goes, after its command line was seen to be ours.
"""

from devtelemetry.store.embedded.server import AlreadyServing, EmbeddedServer

__all__ = ["AlreadyServing", "EmbeddedServer"]
