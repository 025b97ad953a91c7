#!/usr/bin/env bash
# A real MinIO on 127.0.0.1:19000 (user and password: minioadmin) that notifies Kafka and optionally a webhook. Needs Go.
#   minio.sh build | up | down
# MINIO_PORT, MINIO_DIR; KAFKA_BROKERS (127.0.0.1:19092; empty for none), KAFKA_TOPIC (minio-events), WEBHOOK (a URL;
# none by default), WEBHOOK_TOKEN (sent as `Authorization: Bearer …`).
# Buckets send to arn:minio:sqs::lake:kafka or arn:minio:sqs::lake:webhook. Undelivered notifications are kept on disk and
# retried. The broker must be up first. A cold build takes 2 minutes.
set -euo pipefail
DIR=${MINIO_DIR:-$HOME/.cache/retrainer-minio} PORT=${MINIO_PORT:-19000}
RUN=$DIR/run-$PORT
VERSION=v0.0.0-20260212201848-7aac2a2c5b7c

build() {
  [[ -x $DIR/minio ]] && return
  mkdir -p "$DIR/src"
  cd "$DIR/src"
  printf 'module test/minio\ngo 1.25.0\ntool github.com/minio/minio\nrequire github.com/minio/minio %s\n' $VERSION > go.mod
  go mod tidy 2> tidy.log || { cat tidy.log >&2; return 1; }
  # Renamed when it is complete, so that an interrupted build leaves no broken server.
  CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o "$DIR/minio.new" github.com/minio/minio
  mv "$DIR/minio.new" "$DIR/minio"
}

up() {
  build
  mkdir -p "$RUN/data" "$RUN/kafka" "$RUN/webhook"
  export MINIO_ROOT_USER=minioadmin MINIO_ROOT_PASSWORD=minioadmin MINIO_UPDATE=off MINIO_BROWSER=off
  local brokers=${KAFKA_BROKERS-127.0.0.1:19092}
  if [[ -n $brokers ]]; then
    export MINIO_NOTIFY_KAFKA_ENABLE_lake=on MINIO_NOTIFY_KAFKA_BROKERS_lake=$brokers
    export MINIO_NOTIFY_KAFKA_TOPIC_lake=${KAFKA_TOPIC:-minio-events} MINIO_NOTIFY_KAFKA_QUEUE_DIR_lake=$RUN/kafka
  fi
  if [[ -n ${WEBHOOK:-} ]]; then
    export MINIO_NOTIFY_WEBHOOK_ENABLE_lake=on MINIO_NOTIFY_WEBHOOK_ENDPOINT_lake=$WEBHOOK
    export MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_lake=${WEBHOOK_TOKEN:-} MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_lake=$RUN/webhook
  fi
  "$DIR/minio" server --quiet --address "127.0.0.1:$PORT" "$RUN/data" > "$RUN/minio.log" 2>&1 < /dev/null &
  echo $! > "$RUN/minio.pid"
  for _ in $(seq 60); do
    curl -sf "http://127.0.0.1:$PORT/minio/health/ready" > /dev/null && { echo "ready: http://127.0.0.1:$PORT"; return; }
    kill -0 "$(cat "$RUN/minio.pid")" 2> /dev/null || break
    sleep 0.5
  done
  tail -n 5 "$RUN/minio.log" >&2
  return 1
}

down() {
  [[ -f $RUN/minio.pid ]] || return 0
  local pid
  pid=$(cat "$RUN/minio.pid")
  kill "$pid" 2> /dev/null || true
  for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
  kill -9 "$pid" 2> /dev/null || true
  rm -rf "$RUN"
}

case ${1:-} in build) build ;; up) up ;; down) down ;; *) sed -n '2,7p' "${BASH_SOURCE[0]}"; exit 2 ;; esac
