#!/usr/bin/env bash
# A real Prometheus and a real Alertmanager from Debian. Needs apt, or both installed; needs no root, sets up no service.
#   prometheus.sh build | up | down | start SERVER | stop SERVER | kill SERVER | freeze SERVER | thaw SERVER
#   prometheus.sh ensure SERVER     start it if it does not run, thaw it if it does
# SERVER is prometheus or alertmanager. build fetches missing packages; up starts both without data, down removes all;
# stop (clean), kill (SIGKILL) and start keep the data; freeze and thaw are SIGSTOP and SIGCONT.
# Prometheus listens on $PROMETHEUS_HOST (127.0.0.1) at $PROMETHEUS_PORT (19600), Alertmanager on 127.0.0.1 at the next port. $PROMETHEUS_RESEND (1m) is how often
# Prometheus repeats a continuing alert; an alert that is not repeated for four times as long counts as ended.
# They read $PROMETHEUS_DIR/run-PORT/{prometheus,alertmanager}.yml, which must exist before they start; a file web.yml
# in that folder sets TLS and passwords of Prometheus.
set -euo pipefail
DIR=${PROMETHEUS_DIR:-$HOME/.cache/retrainer-prometheus} HOST=${PROMETHEUS_HOST:-127.0.0.1} PORT=${PROMETHEUS_PORT:-19600}
RUN=$DIR/run-$PORT
PATH=$PATH:$DIR/usr/bin

build() {
  for tool in prometheus promtool prometheus-alertmanager; do command -v $tool > /dev/null || { fetch; break; }; done
  # Debian's Alertmanager reads its templates from this path only.
  [[ -e /usr/share/prometheus ]] || ln -sT "$DIR/usr/share/prometheus" /usr/share/prometheus
}

fetch() { # unpacked and not installed, because Debian would start both as services
  mkdir -p "$DIR/debs"
  cd "$DIR/debs"
  apt-get -qq download prometheus prometheus-alertmanager 2> /dev/null ||
    { apt-get -qq update && apt-get -qq download prometheus prometheus-alertmanager; }
  for deb in *.deb; do dpkg-deb -x "$deb" "$DIR"; done
}

start() {
  local log=$RUN/$1.log
  case $1 in
    prometheus)
      promtool check config "$RUN/prometheus.yml" > "$log" 2>&1 || { cat "$log" >&2; return 1; }
      local web=(); [[ ! -f $RUN/web.yml ]] || web=(--web.config.file="$RUN/web.yml")
      prometheus --config.file="$RUN/prometheus.yml" --storage.tsdb.path="$RUN/data" --web.enable-lifecycle \
        --web.listen-address="$HOST:$PORT" --rules.alert.resend-delay="${PROMETHEUS_RESEND:-1m}" "${web[@]}" > "$log" 2>&1 < /dev/null & ;;
    alertmanager)
      prometheus-alertmanager --config.file="$RUN/alertmanager.yml" --storage.path="$RUN/alerts" --cluster.listen-address= \
        --web.listen-address="127.0.0.1:$((PORT + 1))" > "$log" 2>&1 < /dev/null & ;;
    *) echo "no server $1" >&2; return 2 ;;
  esac
  echo $! > "$RUN/$1.pid"
  await "$1"
}

await() {
  local at=$HOST:$PORT answer; [[ $1 == prometheus ]] || at=127.0.0.1:$((PORT + 1))
  for _ in $(seq 240); do
    # 401: it runs, and requires a password.
    answer=$(curl -sk -o /dev/null -w '%{http_code}' "$([[ -f $RUN/web.yml && $1 == prometheus ]] && echo https || echo http)://$at/-/ready") || true
    case $answer in 200 | 401) return ;; esac
    kill -0 "$(cat "$RUN/$1.pid")" 2> /dev/null || break
    sleep 0.25
  done
  tail -n 5 "$RUN/$1.log" >&2
  return 1
}

end() { # end SIGNAL SERVER
  [[ -f $RUN/$2.pid ]] || return 0
  local pid; pid=$(cat "$RUN/$2.pid")
  kill -CONT "$pid" 2> /dev/null || true
  kill "-$1" "$pid" 2> /dev/null || true
  for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
  kill -9 "$pid" 2> /dev/null || true
  rm -f "$RUN/$2.pid"
}

ensure() {
  if [[ -f $RUN/$1.pid ]] && kill -CONT "$(cat "$RUN/$1.pid")" 2> /dev/null; then await "$1"; else start "$1"; fi
}

up() { build; start alertmanager; start prometheus; }
down() { end TERM prometheus; end TERM alertmanager; rm -rf "$RUN"; }

case ${1:-} in
  build | up | down) "$1" ;;
  start | ensure) "$1" "$2" ;;
  stop) end TERM "$2" ;;
  kill) end KILL "$2" ;;
  freeze) kill -STOP "$(cat "$RUN/$2.pid")" ;;
  thaw) kill -CONT "$(cat "$RUN/$2.pid")" ;;
  *) sed -n '2,11p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
