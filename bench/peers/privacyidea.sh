#!/bin/sh
# privacyIDEA as a peer of a verification: a PIN of a "spass" token, kept encrypted, with its counter of failures and its audit
# row in PostgreSQL; gunicorn, no TLS, no HSM. Installed from PyPI and Debian into DIR, and ended by its own pids.
#
#   sh bench/peers/privacyidea.sh DIR [SECONDS [CLIENTS]]
#
# The last line of its output is JSON: peer, version, per_second, cpu_us (server and database, per verification), clients, differs.
# Run it on the machine and in the run in which Sigillo is measured (`make bench PEERS=1` does), alone beside it.
set -eu
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 64; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
seconds=${2:-10}
clients=${3:-4}
here=$(cd "$(dirname "$0")" && pwd)

postgres=""
for found in /usr/lib/postgresql/*/bin; do [ -x "$found/initdb" ] && postgres=$found; done
if [ -z "$postgres" ]; then
    if [ "$(id -u)" -eq 0 ]; then as_root=""; else as_root="sudo"; fi
    # The package would start a cluster of its own.
    $as_root mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    $as_root apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends postgresql >&2
    for found in /usr/lib/postgresql/*/bin; do [ -x "$found/initdb" ] && postgres=$found; done
fi
if [ ! -x "$dir/venv/bin/gunicorn" ]; then
    echo "installing privacyIDEA from PyPI in $dir/venv" >&2
    /usr/bin/python3 -m venv "$dir/venv"
    "$dir/venv/bin/pip" install -q privacyidea==3.14 gunicorn psycopg2-binary >&2
fi

# A cluster of its own; PostgreSQL refuses to run as root.
data="$dir/postgres"
rm -rf "$data" && mkdir -p "$data"
rm -f "$dir/gunicorn.pid" "$dir/postgres.pid"
as_postgres() { if [ "$(id -u)" -eq 0 ]; then setpriv --reuid postgres --regid postgres --clear-groups "$@"; else "$@"; fi; }
[ "$(id -u)" -ne 0 ] || chown postgres "$data"
free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port)
(cd "$data" && as_postgres "$postgres/initdb" -D "$data/cluster" -A trust -U postgres >/dev/null)
(
    cd "$data"
    if [ "$(id -u)" -eq 0 ]; then set -- setpriv --reuid postgres --regid postgres --clear-groups; else set --; fi
    exec "$@" "$postgres/postgres" -D "$data/cluster" -p "$port" -c listen_addresses=127.0.0.1 \
        -c "unix_socket_directories=$data" >"$dir/postgres.log" 2>&1
) &
echo $! >"$dir/postgres.pid"
trap 'for pid in "$dir"/gunicorn.pid "$dir"/postgres.pid; do [ ! -s "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true; done' EXIT INT TERM
tries=0
until "$postgres/pg_isready" -q -h 127.0.0.1 -p "$port"; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || { cat "$dir/postgres.log" >&2; exit 1; }
    sleep 0.1
done
"$postgres/createdb" -h 127.0.0.1 -p "$port" -U postgres peer

cat >"$dir/peer.cfg" <<CONFIG
SUPERUSER_REALM = ["super"]
SECRET_KEY = "of a benchmark on this machine alone"
PI_PEPPER = "of a benchmark on this machine alone"
SQLALCHEMY_DATABASE_URI = "postgresql+psycopg2://postgres@127.0.0.1:$port/peer"
PI_ENCFILE = "$dir/enckey"
PI_AUDIT_KEY_PRIVATE = "$dir/private.pem"
PI_AUDIT_KEY_PUBLIC = "$dir/public.pem"
PI_LOGFILE = "$dir/peer.log"
CONFIG
export PRIVACYIDEA_CONFIGFILE="$dir/peer.cfg"
rm -f "$dir/enckey" "$dir/private.pem" "$dir/public.pem"
manage="$dir/venv/bin/pi-manage"
for step in "setup create_enckey" "setup create_audit_keys" "setup create_tables" "db stamp head" "admin add admin -p adminpw"; do
    # shellcheck disable=SC2086  # words of one command
    "$manage" $step >>"$dir/setup.log" 2>&1 || { tail -n 20 "$dir/setup.log" >&2; exit 1; }
done
cat >"$dir/application.py" <<WSGI
from privacyidea.app import create_app
application = create_app(config_name="production", config_file="$dir/peer.cfg", silent=True)
WSGI
web=$(free_port)
(cd "$dir" && exec "$dir/venv/bin/gunicorn" -w "$(nproc)" -b "127.0.0.1:$web" --pid "$dir/gunicorn.pid" application:application \
    >"$dir/gunicorn.log" 2>&1) &
/usr/bin/python3 "$here/load.py" --url "http://127.0.0.1:$web" --pids "$dir/gunicorn.pid" "$dir/postgres.pid" \
    --seconds "$seconds" --clients "$clients" --peer privacyIDEA \
    --version "$("$dir/venv/bin/pip" show privacyidea | sed -n 's/^Version: //p')"
