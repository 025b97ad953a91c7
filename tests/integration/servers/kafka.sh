#!/usr/bin/env bash
# A real single-node Kafka broker (KRaft) from its published jars. Needs Java 17, Maven and openssl.
#   kafka.sh build | up | down | stop | kill | start | restart
# build fetches the jars; up starts without data, down removes all; stop (clean), kill (SIGKILL) and start keep the data.
# Listeners on 127.0.0.1, from $KAFKA_PORT (19092); the first on $KAFKA_HOST, if that is set, and advertised as
# $KAFKA_ADVERTISED (host:port), if that is set, such as a proxy's:
#   +0 plaintext   +1 the controller's   +2 SASL   +3 SASL over TLS   +4 TLS that requires a client certificate
# SASL user: retrainer / retrainer-secret (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512); OAUTHBEARER accepts unsigned tokens.
# `up` creates certificates in $KAFKA_DIR/run-PORT/tls: ca.pem, client.pem with client.key, stranger.pem with stranger.key.
set -euo pipefail
DIR=${KAFKA_DIR:-$HOME/.cache/retrainer-kafka} HOST=${KAFKA_HOST:-127.0.0.1} PORT=${KAFKA_PORT:-19092} VERSION=4.1.0
RUN=$DIR/run-$PORT TLS=$DIR/run-$PORT/tls
USER_=retrainer PASSWORD=retrainer-secret

jars() { # one process at a time, so that parallel ones do not fetch the jars twice
  mkdir -p "$DIR"; exec 9> "$DIR/lock"; flock 9
  if [[ -d $DIR/libs ]]; then exec 9>&-; return; fi
  cat > "$DIR/pom.xml" <<X
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>test</groupId><artifactId>kafka</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$VERSION</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$VERSION</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
X
  (cd "$DIR" && rm -rf libs.part && mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs.part && mv libs.part libs)
  exec 9>&-
}

# authority NAME, then certificate NAME AUTHORITY [SAN]
authority() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=$1" -keyout "$TLS/$1.key" -out "$TLS/$1.pem" 2>/dev/null
}
certificate() {
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$TLS/$1.key" -out "$TLS/$1.csr" 2>/dev/null
  openssl x509 -req -days 30 -in "$TLS/$1.csr" -CA "$TLS/$2.pem" -CAkey "$TLS/$2.key" -CAcreateserial \
    -extfile <(echo "subjectAltName=${3:-DNS:$1}") -out "$TLS/$1.pem" 2>/dev/null
}
certificates() {
  mkdir -p "$TLS"
  authority ca; authority foreign
  certificate broker ca IP:127.0.0.1,DNS:localhost; certificate client ca; certificate stranger foreign
  cat "$TLS/broker.key" "$TLS/broker.pem" > "$TLS/keystore.pem"
}

settings() {
  local oauth=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule
  local plain=org.apache.kafka.common.security.plain.PlainLoginModule
  local scram=org.apache.kafka.common.security.scram.ScramLoginModule
  cat <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((PORT + 1))
listeners=PLAINTEXT://$HOST:$PORT,CONTROLLER://127.0.0.1:$((PORT + 1)),SASL://127.0.0.1:$((PORT + 2)),SASLTLS://127.0.0.1:$((PORT + 3)),MUTUAL://127.0.0.1:$((PORT + 4))
advertised.listeners=PLAINTEXT://${KAFKA_ADVERTISED:-$HOST:$PORT},SASL://127.0.0.1:$((PORT + 2)),SASLTLS://127.0.0.1:$((PORT + 3)),MUTUAL://127.0.0.1:$((PORT + 4))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,SASLTLS:SASL_SSL,MUTUAL:SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$RUN/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=1000
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasltls.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl.oauthbearer.sasl.jaas.config=$oauth required unsecuredLoginStringClaim_sub="broker";
$(for name in sasl sasltls; do
    echo "listener.name.$name.plain.sasl.jaas.config=$plain required user_$USER_=\"$PASSWORD\";"
    echo "listener.name.$name.scram-sha-256.sasl.jaas.config=$scram required;"
    echo "listener.name.$name.scram-sha-512.sasl.jaas.config=$scram required;"
  done)
$(for name in sasltls mutual; do
    echo "listener.name.$name.ssl.keystore.type=PEM"
    echo "listener.name.$name.ssl.keystore.location=$TLS/keystore.pem"
    echo "listener.name.$name.ssl.truststore.type=PEM"
    echo "listener.name.$name.ssl.truststore.location=$TLS/ca.pem"
  done)
listener.name.mutual.ssl.client.auth=required
P
}

format() {
  java -cp "$DIR/libs/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk -c "$RUN/server.properties" \
    --add-scram "SCRAM-SHA-256=[name=$USER_,password=$PASSWORD]" \
    --add-scram "SCRAM-SHA-512=[name=$USER_,password=$PASSWORD]" > "$RUN/format.log" 2>&1
}

start() {
  rm -f "$RUN/kafka.log" # otherwise an old "started" line would count as this broker's
  java -Xmx512m -cp "$DIR/libs/*" kafka.Kafka "$RUN/server.properties" > "$RUN/kafka.log" 2>&1 < /dev/null &
  echo $! > "$RUN/kafka.pid"
  for _ in $(seq 240); do
    grep -q 'Kafka Server started' "$RUN/kafka.log" && { echo "ready: 127.0.0.1:$PORT"; return; }
    kill -0 "$(cat "$RUN/kafka.pid")" 2>/dev/null || break
    sleep 0.25
  done
  tail -n 15 "$RUN/kafka.log" >&2; return 1
}

stop() {
  [[ -f $RUN/kafka.pid ]] || return 0
  local pid; pid=$(cat "$RUN/kafka.pid"); kill "$pid" 2>/dev/null || true
  for _ in $(seq 200); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$RUN/kafka.pid"
}

kill_() {
  local pid; pid=$(cat "$RUN/kafka.pid"); kill -9 "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}

up() {
  if [[ -f $RUN/kafka.pid ]] && kill -0 "$(cat "$RUN/kafka.pid")" 2>/dev/null; then echo "ready: 127.0.0.1:$PORT"; return; fi
  jars; rm -rf "$RUN"; mkdir -p "$RUN"; certificates; settings > "$RUN/server.properties"; format; start
}

down() { stop; rm -rf "$RUN"; }

case ${1:-} in
  build) jars ;;
  up | down | stop | start) "$1" ;;
  kill) kill_ ;;
  restart) stop; start ;;
  *) sed -n '2,9p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
