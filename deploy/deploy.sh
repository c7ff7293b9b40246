#!/usr/bin/env bash
# Deploys one overlay: tables, then code, then a smoke test; takes the code back when that fails.
# Needs kubectl (1.30 or newer) with access to the cluster, and what deploy/smoke.sh needs.
#
#   GATEWAY=https://staging.quiz.example.org deploy/deploy.sh staging
#   ROLLBACK_FLAGS='quiz-canary'  on failure, also everybody to the other side of these flags
#   OPERATOR_CONFIG=operator.toml for that, and for the smoke test's own look, both by deploy/tunnel.sh: the
#                                 file needs the tokens alone; BANYAN names the binary
#
# PostgreSQL must be there: the overlay `dev`, which brings its own, is applied once before.
#
# Exit 0: deployed; 1: not, and what ran before runs again; 2: not, and taking it back failed: look now.
set -euo pipefail

overlay=${1:?the overlay, such as staging}
folder=$(cd "$(dirname "$0")/.." && pwd)
manifests=$folder/k8s/overlays/$overlay
: "${GATEWAY:?the gateway, such as https://staging.quiz.example.org}"
[ -d "$manifests" ] || { echo "deploy: there is no overlay $overlay" >&2; exit 64; }

if [ -n "${ROLLBACK_FLAGS:-}" ] && [ -z "${OPERATOR_CONFIG:-}" ]; then
  echo "deploy: ROLLBACK_FLAGS needs OPERATOR_CONFIG, to roll the flags back" >&2
  exit 64
fi

rendered=$(kubectl kustomize "$manifests")
namespace=$(sed -n '0,/^  namespace: /s/^  namespace: //p' <<<"$rendered")
kube() { kubectl --namespace "$namespace" "$@"; }
tunnel() { "$folder/deploy/tunnel.sh" "$namespace" "$@"; }

# Each Deployment with the revision that runs: what a rollback goes back to.
revisions() {
  kube get deployment --selector app.kubernetes.io/part-of=banyan --output \
    'jsonpath={range .items[*]}{.metadata.name} {.metadata.annotations.deployment\.kubernetes\.io/revision}{"\n"}{end}'
}

ready() {
  kube rollout status deployment,statefulset --selector app.kubernetes.io/part-of=banyan --timeout 10m
}

# Until all tables are there, or one Job has failed for good: `kubectl wait` would wait on for that one.
migrated() {
  local second jobs failed
  for ((second = 0; second < 900; second += 2)); do
    jobs=$(kube get job --selector app.kubernetes.io/component=migration --output \
      'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.status=="True")].type}{"\n"}{end}')
    failed=$(sed -n 's/ .*\<Failed\>.*//p' <<<"$jobs" | head -n 1)
    if [ -n "$failed" ]; then
      kube logs --selector "batch.kubernetes.io/job-name=$failed" --prefix --tail 50 >&2 || true
      echo "deploy: $failed has failed" >&2
      return 1
    fi
    if ! grep --quiet --invert-match ' .*\<Complete\>' <<<"$jobs"; then return 0; fi
    sleep 2
  done
  echo "deploy: not all tables are there after 15 minutes: $jobs" >&2
  return 1
}

smoke() {
  if [ -n "${OPERATOR_CONFIG:-}" ]; then tunnel "$folder/deploy/smoke.sh"; else "$folder/deploy/smoke.sh"; fi
}

take_back() {
  echo "deploy: taking $overlay back" >&2
  local failed=0 flag name revision
  # Players first: a flag acts at once, a rollout takes minutes.
  for flag in ${ROLLBACK_FLAGS:-}; do
    tunnel "${BANYAN:-banyan}" --config "$OPERATOR_CONFIG" \
      flags rollback "$flag" --reason "the deployment of $overlay failed" || failed=1
  done
  while read -r name revision; do
    if [ -n "$name" ] && ! grep --quiet --line-regexp --fixed-strings "$name $revision" <<<"$before"; then
      old=$(sed -n "s/^$name //p" <<<"$before")
      # One that was not there before has nothing to go back to; it stays, and is said.
      if [ -z "$old" ]; then echo "deploy: $name is new, and stays" >&2; continue; fi
      kube rollout undo "deployment/$name" --to-revision "$old" || failed=1
    fi
  done <<<"$(revisions)"
  ready || failed=1
  if [ "$failed" != 0 ]; then echo "deploy: taking it back FAILED" >&2; exit 2; fi
  echo "deploy: what ran before runs again" >&2
  exit 1
}

echo "deploy: tables"
kube delete job --selector app.kubernetes.io/component=migration --ignore-not-found
kubectl apply --kustomize "$manifests/migrations"
# Nothing has been changed for anybody yet: a failure here needs no way back.
migrated || exit 1

before=$(revisions)
echo "deploy: code"
kubectl apply --kustomize "$manifests" || take_back
ready || take_back
echo "deploy: smoke test"
smoke || take_back
echo "deploy: $overlay is good"
