#!/usr/bin/env bash
# A real single-node Kubernetes with a real Argo Workflows controller, for end-to-end tests on one
# Linux machine without Docker. Tested as root on Debian 12 with Go installed.
#   cluster.sh build       install Debian packages, build the Go binaries (11 min cold, seconds warm)
#   cluster.sh up          start everything unless it is up: write $DIR/run/kubeconfig, install Argo's CRDs and controller
#   cluster.sh down        stop what `up` started and remove its state
#   cluster.sh load FILE   load the archive of an image on the node
#   cluster.sh stop NAME   stop one server (etcd, apiserver, workflow-controller, ...)
#   cluster.sh start NAME  start it again, as `up` did
#   cluster.sh env         print the variables to export
# $DIR/run/audit.log is the API server's audit log of every requested Workflow. Tests compare with it.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DIR=${CLUSTER_DIR:-$HOME/.cache/retrainer-cluster}
BIN=$DIR/bin RUN=$DIR/run
K8S=v1.34.2 K8S_LIB=v0.34.2 ETCD=v3.6.5 ARGO=v4.0.2
API_PORT=26443 ETCD_PORT=23790 SERVICES=10.96.0.0/16 PODS=10.244.0.0/24 API_ADDRESS=10.97.0.1
export PATH=$BIN:$PATH KUBECONFIG=$RUN/kubeconfig CGO_ENABLED=0

packages() {
  command -v containerd >/dev/null && command -v debootstrap >/dev/null && return
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    containerd runc containernetworking-plugins iptables conntrack socat debootstrap buildah openssl >/dev/null
}

go_module() { # go_module NAME MODULE VERSION PACKAGE...: create a module whose tools are the packages
  local name=$1 module=$2 version=$3; shift 3
  mkdir -p "$DIR/src/$name"; cd "$DIR/src/$name"
  { echo "module cluster.test/$name"; echo "go 1.25.0"
    for p in "$@"; do echo "tool $p"; done
    echo "require $module $version"; } > go.mod
}

build_k8s() { # with the version that they tell: helm compares it with the chart's kubeVersion
  [[ -x $BIN/kubelet && $("$BIN/kube-apiserver" --version) == *" $K8S" ]] && return
  go_module k8s k8s.io/kubernetes $K8S k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy,kubelet,kubectl}
  local mod; mod=$(go mod download -json k8s.io/kubernetes@$K8S | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
  { echo "replace ("; sed -n 's#.*=> ./staging/src/\(k8s.io/.*\)$#\1#p' "$mod" | sort -u |
      while read -r m; do echo "  $m => $m $K8S_LIB"; done; echo ")"; } >> go.mod
  go mod tidy 2>/dev/null
  local version=k8s.io/component-base/version minor=${K8S#v1.}
  for c in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl kubelet; do
    go build -trimpath -ldflags="-s -w -X $version.gitVersion=$K8S -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}" -o "$BIN/$c.new" "k8s.io/kubernetes/cmd/$c"
    mv "$BIN/$c.new" "$BIN/$c"; done
}

build_etcd() {
  [[ -x $BIN/etcd ]] && return
  go_module etcd go.etcd.io/etcd/server/v3 $ETCD go.etcd.io/etcd/server/v3
  go mod tidy 2>/dev/null; go build -trimpath -ldflags="-s -w" -o "$BIN/etcd" go.etcd.io/etcd/server/v3
}

build_argo() { # the published module lacks one Linux file of the executor, which is added here
  [[ -x $BIN/workflow-controller ]] && return
  local m=github.com/argoproj/argo-workflows/v4
  go_module argo $m $ARGO $m/cmd/{argoexec,workflow-controller}
  go mod tidy 2>/dev/null; go mod vendor 2>/dev/null
  cp "$HERE/signal_linux.go" vendor/$m/workflow/executor/osspecific/
  mkdir -p "$DIR/argo-crds"; cp "$(go mod download -json $m@$ARGO | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')"/manifests/base/crds/full/argoproj.io_*.yaml "$DIR/argo-crds/"
  for c in argoexec workflow-controller; do go build -trimpath -ldflags="-s -w" -o "$BIN/$c" $m/cmd/$c; done
}

build_images() { # docker archives: the pod sandbox, argoexec, and a Python base for training steps
  mkdir -p "$DIR/images"; cd "$DIR/images"
  if [[ ! -f pause.tar ]]; then
    printf '#include <unistd.h>\n#include <signal.h>\n#include <stdlib.h>\n#include <sys/wait.h>\nstatic void bye(int s){exit(0);}\nstatic void reap(int s){while(waitpid(-1,0,WNOHANG)>0);}\nint main(void){signal(SIGINT,bye);signal(SIGTERM,bye);signal(SIGCHLD,reap);for(;;)pause();}\n' > pause.c
    gcc -static -O2 -o pause pause.c
    python3 "$HERE/image.py" localhost/pause:1 pause.tar '["/pause"]' pause=/pause
  fi
  [[ -f argoexec.tar ]] || python3 "$HERE/image.py" localhost/argoexec:$ARGO argoexec.tar '["argoexec"]' "$BIN/argoexec=/bin/argoexec"
  if [[ ! -f python.tar ]]; then
    [[ -d rootfs/usr ]] || debootstrap --variant=minbase --include=python3,python3-pip,python3-venv bookworm rootfs >/dev/null
    rm -rf rootfs/var/cache/apt/*
    python3 "$HERE/image.py" localhost/python:3.11 python.tar '[]' rootfs=/
  fi
}

start() { # start NAME COMMAND...: start it in the background, with its command, pid and log under $RUN
  local name=$1; shift
  printf '%q ' "$@" > "$RUN/$name.command"
  again "$name"
}

again() { # again NAME: start NAME with its earlier command, in a new session so that it outlives the caller's terminal
  cd "$RUN"
  local command_line=() fd
  eval "command_line=($(cat "$RUN/$1.command"))"
  # Without the caller's other files: a server would keep the lock of `flock LOCK cluster.sh up` for as long as it runs.
  ( for fd in /proc/self/fd/*; do fd=${fd##*/}; (( fd < 3 )) || eval "exec $fd>&-"; done
    exec setsid "${command_line[@]}" ) >> "$RUN/$1.log" 2>&1 < /dev/null &
  echo $! > "$RUN/$1.pid"
}

pid_of() { # pid_of NAME: print its pid if it runs; after a crash of the machine, another process may have the pid in the file
  local pid; pid=$(cat "$RUN/$1.pid" 2>/dev/null) || return 1
  [[ $(readlink "/proc/$pid/cwd") == "$RUN" ]] && echo "$pid"
}

alive() { pid_of "$1" >/dev/null; }

await() { # await SECONDS COMMAND...
  local n=$1; shift
  for _ in $(seq "$n"); do "$@" >/dev/null 2>&1 && return; sleep 1; done
  echo "timed out waiting for: $*" >&2; return 1
}

network() { # service addresses are local; pods reach this machine only
  ip route replace local $SERVICES dev lo
  ip addr replace $API_ADDRESS/32 dev lo
  for port in $API_PORT 10250; do
    iptables -C INPUT ! -i lo -p tcp --dport "$port" ! -s $PODS -j REJECT 2>/dev/null || iptables -I INPUT ! -i lo -p tcp --dport "$port" ! -s $PODS -j REJECT; done
  sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1
  iptables -C FORWARD -s $PODS ! -d $PODS -j REJECT 2>/dev/null || iptables -I FORWARD -s $PODS ! -d $PODS -j REJECT
}

up() {
  if alive apiserver && alive workflow-controller; then echo "up already: eval \"\$($HERE/cluster.sh env)\""; return; fi
  down   # remains of an interrupted session
  mkdir -p "$RUN/cni"; cd "$RUN"; network
  [[ -f sa.key ]] || { openssl genrsa -out sa.key 2048 2>/dev/null; openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null; }
  [[ -f api.crt ]] || openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=kube-apiserver -keyout api.key -out api.crt 2>/dev/null \
    -addext "subjectAltName=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:$API_ADDRESS"
  echo 'admintoken,admin,1,"system:masters"' > tokens.csv
  cat > kubeconfig <<Y
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$API_PORT", certificate-authority: "$RUN/api.crt"}}]
users: [{name: admin, user: {token: admintoken}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
Y
  cat > audit.yaml <<Y
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, verbs: [create, patch, delete], resources: [{group: argoproj.io, resources: [workflows]}]}
- {level: None}
Y
  cat > kubelet.yaml <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
failSwapOn: false
failCgroupV1: false
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
address: $API_ADDRESS
containerRuntimeEndpoint: unix://$RUN/containerd.sock
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100   # the images were imported by hand: what a full disk of others removes does not come back
imageGCLowThresholdPercent: 99
enforceNodeAllocatable: []
Y
  cat > containerd.toml <<Y
version = 2
root = "$RUN/containerd"
state = "$RUN/containerd-state"
[grpc]
  address = "$RUN/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$RUN/cni"
Y
  cat > cni/10-pods.conflist <<Y
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
Y
  start etcd etcd --data-dir etcd --listen-client-urls http://127.0.0.1:$ETCD_PORT --advertise-client-urls http://127.0.0.1:$ETCD_PORT --listen-peer-urls http://127.0.0.1:23800 --unsafe-no-fsync
  start apiserver kube-apiserver --etcd-servers=http://127.0.0.1:$ETCD_PORT --secure-port=$API_PORT --tls-cert-file=api.crt --tls-private-key-file=api.key --advertise-address=$API_ADDRESS --kubelet-preferred-address-types=InternalIP --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key --service-cluster-ip-range=$SERVICES --authorization-mode=RBAC --token-auth-file=tokens.csv --allow-privileged --profiling=false --audit-policy-file=audit.yaml --audit-log-path=audit.log --audit-log-mode=blocking
  await 60 kubectl get --raw=/readyz
  start controller-manager kube-controller-manager --kubeconfig kubeconfig --service-account-private-key-file sa.key --root-ca-file api.crt --use-service-account-credentials --leader-elect=false \
    --resource-quota-sync-period=5s  # the default is 5 minutes, for a quota on a kind that was added later
  start scheduler kube-scheduler --kubeconfig kubeconfig --leader-elect=false
  start proxy kube-proxy --kubeconfig kubeconfig --proxy-mode=iptables --hostname-override node1 --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
  start containerd containerd -c containerd.toml
  await 20 ctr -a "$RUN/containerd.sock" version
  for i in "$DIR"/images/*.tar; do ctr -a "$RUN/containerd.sock" -n k8s.io images import "$i" >/dev/null; done
  start kubelet kubelet --config kubelet.yaml --kubeconfig kubeconfig --root-dir "$RUN/kubelet" --hostname-override node1 --node-ip $API_ADDRESS
  kubectl apply --server-side -f "$DIR/argo-crds" >/dev/null
  await 60 kubectl get --raw=/apis/argoproj.io/v1alpha1/workflows   # the controller exits if they are not served yet
  kubectl create namespace argo --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  kubectl -n argo create configmap workflow-controller-configmap --from-literal=metricsConfig='{enabled: true, port: 19091, secure: false}' --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  start workflow-controller env LEADER_ELECTION_DISABLE=true workflow-controller --kubeconfig kubeconfig --namespace argo --configmap workflow-controller-configmap --executor-image localhost/argoexec:$ARGO --executor-image-pull-policy Never
  await 60 sh -c 'kubectl get node node1 | grep -w Ready'
  await 60 kubectl get --raw=/apis/argoproj.io/v1alpha1/workflowtemplates
  echo "ready: eval \"\$($HERE/cluster.sh env)\""
}

stop() { # stop NAME: SIGTERM, and SIGKILL after 10 s
  local pid; pid=$(pid_of "$1") || return 0
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
}

down() {
  [[ -d $RUN ]] || return 0
  for n in workflow-controller kubelet proxy scheduler controller-manager apiserver etcd; do stop $n; done
  if [[ -S $RUN/containerd.sock ]]; then
    ctr -a "$RUN/containerd.sock" -n k8s.io tasks ls -q 2>/dev/null | xargs -r -n1 ctr -a "$RUN/containerd.sock" -n k8s.io tasks kill -s KILL 2>/dev/null || true
    sleep 1
  fi
  stop containerd
  awk -v d="$RUN" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r | xargs -r -n1 umount -l 2>/dev/null || true
  ip link del cni0 2>/dev/null || true
  ip route del local $SERVICES dev lo 2>/dev/null || true
  ip addr del $API_ADDRESS/32 dev lo 2>/dev/null || true
  for port in $API_PORT 10250; do iptables -D INPUT ! -i lo -p tcp --dport "$port" ! -s $PODS -j REJECT 2>/dev/null || true; done
  iptables -D FORWARD -s $PODS ! -d $PODS -j REJECT 2>/dev/null || true
  iptables-save 2>/dev/null | grep -v -E 'KUBE-|CNI-' | iptables-restore 2>/dev/null || true
  rm -rf "$RUN"
}

case ${1:-} in
  build) mkdir -p "$BIN"; packages; build_etcd; build_k8s; build_argo; build_images ;;
  up) up ;;
  down) down ;;
  load) ctr -a "$RUN/containerd.sock" -n k8s.io images import "$(realpath "${2:?which archive}")" ;;
  stop) stop "${2:?which server}" ;;
  start) again "${2:?which server}" ;;
  env) echo "export KUBECONFIG=$KUBECONFIG PATH=$BIN:\$PATH" ;;
  *) sed -n '2,12p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
