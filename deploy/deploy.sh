#!/usr/bin/env bash
# Deploys one overlay: tables, then code, then a smoke test; takes the code back when that fails.
# Needs kubectl (1.30 or newer) with access to the cluster, and what deploy/smoke.sh needs.
#
#   GATEWAY=https://staging.quiz.example.org deploy/deploy.sh staging
#   ROLLBACK_FLAGS='quiz-canary'  on failure, also everybody to the other side of these flags
#   OPERATOR_CONFIG=operator.toml for that, and for the smoke test's own look; BANYAN names the binary
#
# Exit 0: deployed; 1: not, and what ran before runs again; 2: not, and taking it back failed: look now.
set -euo pipefail

overlay=${1:?the overlay, such as staging}
folder=$(cd "$(dirname "$0")/.." && pwd)
manifests=$folder/k8s/overlays/$overlay
: "${GATEWAY:?the gateway, such as https://staging.quiz.example.org}"
[ -d "$manifests" ] || { echo "deploy: there is no overlay $overlay" >&2; exit 64; }

rendered=$(kubectl kustomize "$manifests")
namespace=$(sed -n '0,/^  namespace: /s/^  namespace: //p' <<<"$rendered")
kube() { kubectl --namespace "$namespace" "$@"; }

# Each Deployment with the revision that runs: what a rollback goes back to.
revisions() {
  kube get deployment --selector app.kubernetes.io/part-of=banyan --output \
    'jsonpath={range .items[*]}{.metadata.name} {.metadata.annotations.deployment\.kubernetes\.io/revision}{"\n"}{end}'
}

ready() {
  kube rollout status deployment,statefulset --selector app.kubernetes.io/part-of=banyan --timeout 10m
}

take_back() {
  echo "deploy: taking $overlay back" >&2
  local failed=0 flag name revision
  # Players first: a flag acts at once, a rollout takes minutes.
  for flag in ${ROLLBACK_FLAGS:-}; do
    "${BANYAN:-banyan}" --config "${OPERATOR_CONFIG:?to roll flags back}" \
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
kube wait --for condition=complete --timeout 15m job --selector app.kubernetes.io/component=migration

before=$(revisions)
echo "deploy: code"
kubectl apply --kustomize "$manifests" || take_back
ready || take_back
echo "deploy: smoke test"
"$folder/deploy/smoke.sh" || take_back
echo "deploy: $overlay is good"
