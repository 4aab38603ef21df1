#!/bin/sh
# Makes the secrets that compose.yaml reads, once: sh deploy/secrets.sh
#
# Other users cannot enter the directory. The files in it are readable, because each container reads its file as another
# user.
set -eu
cd "$(dirname "$0")"
umask 022
mkdir -p secrets
chmod 0700 secrets

random() {
    od -A n -t x1 -N 24 /dev/urandom | tr -d ' \n'
}

[ -s secrets/postgres_password ] || random > secrets/postgres_password
[ -s secrets/grafana_password ] || random > secrets/grafana_password
if [ ! -s secrets/devtelemetry.toml ]; then
    printf 'database_url = "postgresql://devtelemetry:%s@postgres:5432/devtelemetry"\n' \
        "$(cat secrets/postgres_password)" > secrets/devtelemetry.toml
fi
echo "deploy/secrets: postgres_password, devtelemetry.toml, grafana_password (user admin)"
