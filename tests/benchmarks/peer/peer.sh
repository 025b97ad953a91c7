#!/usr/bin/env bash
# Argo Events and the NATS server that is its event bus, built from their Go modules. Needs Go; as root on Linux.
#   peer.sh build                    build both, in about five minutes on two cores, unless they exist
#   peer.sh bus PORT FOLDER          run the bus (JetStream on files, TLS with a certificate made here)
#   peer.sh run eventsource-service|sensor-service FOLDER      run one of the two, configured by the environment
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DIR=${PEER_DIR:-$HOME/.cache/retrainer-peer} EVENTS=v1.9.7 NATS=v2.11.9
export CGO_ENABLED=0

go_module() { # go_module NAME MODULE VERSION: create a module that requires one other module
  mkdir -p "$DIR/src/$1" "$DIR/bin"; cd "$DIR/src/$1"
  printf 'module peer.test/%s\ngo 1.25.0\nrequire %s %s\n' "$1" "$2" "$3" > go.mod
}

build() {
  if [[ ! -x $DIR/bin/nats-server ]]; then
    go_module nats github.com/nats-io/nats-server/v2 $NATS
    echo 'tool github.com/nats-io/nats-server/v2' >> go.mod
    go mod tidy 2>/dev/null; go build -trimpath -ldflags="-s -w" -o "$DIR/bin/nats-server" github.com/nats-io/nats-server/v2
  fi
  if ! cmp -s "$HERE/main.go" "$DIR/src/peer/main.go" || [[ ! -x $DIR/bin/peer ]]; then
    go_module peer github.com/argoproj/argo-events $EVENTS
    cp "$HERE/main.go" .
    go mod tidy 2>/dev/null; go build -trimpath -ldflags="-s -w" -o "$DIR/bin/peer" .
  fi
}

bus() { # its clients require TLS
  mkdir -p "$2"; cd "$2"
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=bus -keyout bus.key -out bus.crt 2>/dev/null
  exec "$DIR/bin/nats-server" -a 127.0.0.1 -p "$1" -js -sd "$2/jetstream" --tls --tlscert bus.crt --tlskey bus.key
}

run() { # each with a separate /tmp, because the path of its election state is a constant
  mkdir -p "$2"
  # shellcheck disable=SC2016 # the inner shell expands them
  exec unshare --mount sh -c 'mount --bind "$1" /tmp && exec "$2" "$3"' sh "$2" "$DIR/bin/peer" "$1"
}

case ${1:-} in
  build) build ;;
  bus) bus "$2" "$3" ;;
  run) run "$2" "$3" ;;
  *) sed -n '2,5p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
