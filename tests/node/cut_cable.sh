#!/usr/bin/env bash
# Two nodes in network namespaces of their own; the link between them is taken down. The call that was under way must end
# within 6 s, truthfully, and service must return by itself when the link is up. Needs root and ip; skipped (77) without.
# Usage: cut_cable.sh PROGRAM
set -euo pipefail
program=$1
scripts=$(cd "$(dirname "$0")/../../script" && pwd)
skip() { echo "skipped: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root, for network namespaces"
command -v ip >/dev/null || skip "needs the program ip (package iproute2)"
work=$(mktemp -d)
one=mf-$$-a
two=mf-$$-b
pids=
clean() {
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  wait
  ip netns del "$one" 2>/dev/null || true
  ip netns del "$two" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
fail() { echo "FAILED: $*"; tail -n 5 "$work"/*.log; exit 1; }
ip netns add "$one" 2>/dev/null && ip netns add "$two" || skip "network namespaces cannot be made here"
ip link add va netns "$one" type veth peer name vb netns "$two" 2>/dev/null || skip "a veth pair cannot be made here"
for side in "$one va 10.0.0.1" "$two vb 10.0.0.2"; do
  read -r name device address <<<"$side"
  ip -n "$name" addr add "$address/24" dev "$device"
  ip -n "$name" link set "$device" up
  ip -n "$name" link set lo up
done
cd "$work"
"$scripts/certs" certs owner guest >/dev/null
configure() { # NODE ADDRESS
  cat <<TOML
[node]
name = "$1"
$2
[node.tls]
certificate = "$work/certs/$1.pem"
key = "$work/certs/$1.key"
ca = "$work/certs/ca.pem"
[runtime]
state_folder = "none"
[providers.sim]
kind = "openai_compatible"
base_url = "http://127.0.0.1:8080/v1"
default_model = "m"
nodes = ["owner"]
retry = { retry_uncertain = false }
TOML
}
configure owner 'listen = "10.0.0.1:4711"' >owner.toml
configure guest 'peers = ["10.0.0.1:4711"]' >guest.toml
in_one() { timeout 60 ip netns exec "$one" "$@"; }
in_two() { timeout 60 ip netns exec "$two" "$@"; }
in_one "$program" simulate --listen 127.0.0.1:8080 --latency 3000 >simulate.log 2>&1 & pids="$pids $!"
in_one "$program" node -c owner.toml >owner.log 2>&1 & pids="$pids $!"
for _ in $(seq 100); do grep -q listening owner.log simulate.log && break; sleep 0.1; done
in_two "$program" chat -c guest.toml "What is 12 + 30?" </dev/null >first.log 2>&1 || fail "no answer before the cut"
grep -q 42 first.log || fail "the wrong answer"
in_two "$program" chat -c guest.toml --no-stream "Hi" </dev/null >second.log 2>&1 & chat=$!
for _ in $(seq 50); do grep -q "peer.connected.*peer=guest[.]" <(grep peer[.] owner.log | tail -n 1) && break; sleep 0.1; done
sleep 1 # the request is under way: it takes 3 s
begun=$(date +%s%N)
ip -n "$one" link set va down
! wait "$chat" || fail "a call that was cut off succeeded"
took=$((($(date +%s%N) - begun) / 1000000))
grep -q "was lost while it had the request" second.log || fail "the call did not end truthfully"
[ "$took" -lt 6000 ] || fail "noticed after $took ms only"
ip -n "$one" link set va up
in_two "$program" chat -c guest.toml "What is 12 + 30?" </dev/null >third.log 2>&1 || fail "service did not return"
echo "noticed after $took ms"
