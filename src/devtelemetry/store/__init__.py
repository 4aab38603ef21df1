"""PostgreSQL: the bundled one, connections, migrations, day partitions, keyed ids."""
