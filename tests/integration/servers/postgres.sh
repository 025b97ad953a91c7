#!/usr/bin/env bash
# A real PostgreSQL 15 on $POSTGRES_HOST (127.0.0.1) and $POSTGRES_PORT (19532), Debian's own: user retrainer, password
# "not-so-secret", database retrainer. On another address it accepts clients of this machine's networks, such as pods.
# Needs apt, or an installed PostgreSQL; sets up no service. As root it runs as Debian's user postgres (it refuses root).
#   postgres.sh build | up | down | start | stop | kill | freeze | thaw | follow | promote
# build fetches missing packages; up starts without data, down removes all; stop (fast: ends sessions, as a restart does),
# kill (SIGKILL) and start keep the data; freeze and thaw are SIGSTOP and SIGCONT of all of its processes.
# follow starts a streaming standby of the server on port $POSTGRES_PRIMARY; promote makes it a primary.
set -euo pipefail
HOST=${POSTGRES_HOST:-127.0.0.1} PORT=${POSTGRES_PORT:-19532}
if [[ $EUID == 0 ]]; then DIR=${POSTGRES_DIR:-/var/cache/retrainer-postgres}; else DIR=${POSTGRES_DIR:-$HOME/.cache/retrainer-postgres}; fi
RUN=$DIR/run-$PORT
# shellcheck disable=SC2012 # the folders are named by versions, which need no find
binaries() { ls -d /usr/lib/postgresql/*/bin "$DIR"/usr/lib/postgresql/*/bin 2> /dev/null | tail -n 1 || true; }
BIN=$(binaries)
[[ $EUID != 0 ]] || AS="setpriv --reuid=postgres --regid=postgres --clear-groups --"

build() {
  [[ -z $BIN ]] || return 0
  mkdir -p "$DIR/debs"
  cd "$DIR/debs"
  # Unpacked and not installed, because Debian would start it as a service.
  apt-get -qq download postgresql-15 postgresql-client-15 libpq5 2> /dev/null ||
    { apt-get -qq update && apt-get -qq download postgresql-15 postgresql-client-15 libpq5; }
  for deb in *.deb; do dpkg-deb -x "$deb" "$DIR"; done
  [[ $EUID != 0 ]] || id postgres > /dev/null 2>&1 || useradd --system --no-create-home postgres
  BIN=$(binaries)
}

start() {
  cd "$RUN"
  # The kernel keeps the writes of a killed server, so tests need no fsync. Benchmarks set POSTGRES_FSYNC=on.
  ${AS:-} "$BIN/postgres" -D "$RUN/data" -c listen_addresses="$HOST" -c port="$PORT" -c unix_socket_directories="$RUN" \
    -c fsync="${POSTGRES_FSYNC:-off}" -c log_min_messages=warning >> "$RUN/postgres.log" 2>&1 < /dev/null &
  for _ in $(seq 240); do
    "$BIN/pg_isready" -q -h "$HOST" -p "$PORT" && return
    kill -0 $! 2> /dev/null || break
    sleep 0.1
  done
  tail -n 5 "$RUN/postgres.log" >&2
  return 1
}

folder() {
  mkdir -p "$RUN"
  [[ $EUID != 0 ]] || chown postgres:postgres "$RUN"
  cd "$RUN"
}

follow() {
  build
  folder
  PGPASSWORD=not-so-secret ${AS:-} "$BIN/pg_basebackup" --host="$HOST" --port="$POSTGRES_PRIMARY" --username=retrainer \
    --pgdata="$RUN/data" --write-recovery-conf --wal-method=stream --checkpoint=fast --no-sync
  start
}

promote() { ${AS:-} "$BIN/pg_ctl" promote --pgdata="$RUN/data" --wait --silent; }

up() {
  build
  folder
  echo not-so-secret > "$RUN/password"
  ${AS:-} "$BIN/initdb" -D "$RUN/data" -U retrainer --pwfile="$RUN/password" --auth=scram-sha-256 --encoding=UTF8 \
    --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US --no-sync > "$RUN/initdb.log" 2>&1 || { tail -n 5 "$RUN/initdb.log" >&2; return 1; }
  [[ $HOST == 127.0.0.1 ]] || echo "host all all samenet scram-sha-256" >> "$RUN/data/pg_hba.conf"
  start
  PGPASSWORD=not-so-secret "$BIN/createdb" -h "$HOST" -p "$PORT" -U retrainer retrainer
}

end() { # end SIGNAL
  [[ -f $RUN/data/postmaster.pid ]] || return 0
  local pid; pid=$(head -n 1 "$RUN/data/postmaster.pid")
  signal CONT 2> /dev/null || true
  kill "-$1" "$pid" 2> /dev/null || true
  for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || return 0; sleep 0.1; done
  kill -9 "$pid" 2> /dev/null || true
}

signal() { # signal NAME
  local pid; pid=$(head -n 1 "$RUN/data/postmaster.pid")
  kill "-$1" "$pid" && pkill "-$1" -P "$pid"
}

case ${1:-} in
  build | up | start | follow | promote) "$1" ;;
  down) end INT; rm -rf "$RUN" ;;
  stop) end INT ;;
  kill) end KILL ;;
  freeze) signal STOP ;;
  thaw) signal CONT ;;
  *) sed -n '2,9p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
