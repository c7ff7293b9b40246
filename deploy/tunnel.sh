#!/usr/bin/env bash
# Runs a command while every part of a Kubernetes namespace can be reached from this machine, each on the
# port where the operators' verbs look by default: operator.toml then holds the tokens and nothing else.
# Needs kubectl with the right to `create` `pods/portforward`.
#
#   deploy/tunnel.sh banyan-staging banyan --config operator.toml doctor
#   PORT_OFFSET=100   the ports here are that much higher, as operator.toml must then say
#
# One pod of each part is reached, ready or not; a part that has none is told, and the command runs. Exit:
# the command's; 64: a port is taken here, and whoever has it would be asked instead.
set -euo pipefail

usage='usage: deploy/tunnel.sh NAMESPACE COMMAND…'
namespace=${1:?$usage}
shift
[ $# -gt 0 ] || { echo "$usage" >&2; exit 64; }

tunnels=()
trap 'kill "${tunnels[@]}" 2>/dev/null || true' EXIT

for part in gateway-admin:8081 legacy:9000 auth:9001 question:9002 quiz:9003 achievement:9004 \
  leaderboard:9005 admin:9006 maintenance:9007 log:9010; do
  port=${part#*:}
  here=$((port + ${PORT_OFFSET:-0}))
  if (exec 3<>"/dev/tcp/127.0.0.1/$here") 2>/dev/null; then
    echo "tunnel: port $here is taken on this machine; PORT_OFFSET chooses others" >&2
    exit 64
  fi
  exec {said}< <(exec kubectl --namespace "$namespace" port-forward --address 127.0.0.1 \
    --pod-running-timeout 10s "service/${part%:*}" "$here:$port" 2>&1)
  tunnels+=($!)
  line=''
  if read -r -t 30 line <&"$said" && [[ "$line" == Forwarding* ]]; then
    # kubectl tells of every connection, and must not wait for a reader.
    cat <&"$said" >/dev/null &
  else
    echo "tunnel: no way to ${part%:*}: $line" >&2
  fi
  exec {said}<&-
done

"$@"
