#!/usr/bin/env bash
# Is what was deployed alive? Plays one answer through the gateway, as a player would, and looks at the
# rest if it may. Needs curl and python3. Exit 0: yes; 1: no, and the last line says what.
#
#   GATEWAY=https://quiz.example.org deploy/smoke.sh
#   ADMIN=http://127.0.0.1:8081      also: every replica's own health (through a tunnel)
#   OPERATOR_CONFIG=operator.toml    also: `banyan doctor` and `banyan audit`; BANYAN names the binary. On
#                                    Kubernetes by deploy/tunnel.sh: a service's port is closed to the outside
set -euo pipefail

: "${GATEWAY:?the gateway, such as https://quiz.example.org}"
tries=${TRIES:-30} # of one second each, for what a rollout may still be doing

answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

fail() {
  echo "smoke: $*: $(head -c 400 "$answer")" >&2
  exit 1
}

# call METHOD PATH [BODY]: the status; the answer is in $answer.
call() {
  local arguments=(--silent --show-error --max-time 15 --output "$answer" --write-out '%{http_code}' --request "$1")
  if [ -n "${token:-}" ]; then arguments+=(--header "authorization: Bearer $token"); fi
  if [ -n "${3:-}" ]; then arguments+=(--header 'content-type: application/json' --data "$3"); fi
  if [ "$1" = POST ]; then arguments+=(--header "idempotency-key: smoke-$(python3 -c 'import uuid; print(uuid.uuid4())')"); fi
  curl "${arguments[@]}" "$GATEWAY$2" || echo 000
}

# field PATH: a value of the answer, such as `items.0.id`.
field() {
  python3 -c '
import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    value = value[int(key) if isinstance(value, list) else key]
print(value)' "$answer" "$1"
}

# Until the first answer comes, a rollout may still be under way.
for ((try = 1; ; try++)); do
  status=$(call GET '/api/questions?limit=1')
  [ "$status" = 200 ] && break
  [ "$try" -lt "$tries" ] || fail "no question after $tries tries, the last one was $status"
  sleep 1
done
question=$(field items.0.id) || fail 'there is no question'
choice=$(field items.0.choices.0.id) || fail 'a question without choices'
echo "smoke: a question is there"

status=$(call POST /api/auth/guest '{}')
[[ "$status" == 20[01] ]] || fail "no guest may enter, $status"
token=$(field accessToken)
echo "smoke: a guest is in"

status=$(call POST /api/answers "{\"questionId\": \"$question\", \"choiceId\": \"$choice\", \"quizMode\": \"classic\"}")
[[ "$status" == 20[02] ]] || fail "the answer was refused, $status"
id=$(field id)
for ((try = 1; ; try++)); do
  status=$(call GET "/api/answers/$id")
  if [ "$status" = 200 ] && [ "$(field status)" = completed ]; then break; fi
  [ "$try" -lt "$tries" ] || fail "the answer $id is not complete after $tries tries"
  sleep 1
done
echo "smoke: an answer counts"

status=$(call GET /api/stats/me)
[ "$status" = 200 ] || fail "no stats, $status"
[ "$(field answered)" = 1 ] || fail 'the stats do not count the answer'
status=$(call GET '/api/leaderboard?quizMode=classic')
[ "$status" = 200 ] || fail "no leaderboard, $status"
echo "smoke: stats and leaderboard follow"

if [ -n "${ADMIN:-}" ]; then
  token=''
  GATEWAY=$ADMIN
  status=$(call GET /health/ready)
  [ "$status" = 200 ] || fail "the gateway is not ready, $status"
  echo "smoke: the gateway is ready"
fi
if [ -n "${OPERATOR_CONFIG:-}" ]; then
  # Right after a rollout consumers may be behind, and breakers still open.
  "${BANYAN:-banyan}" --config "$OPERATOR_CONFIG" doctor --wait 60 >"$answer" || fail 'banyan doctor'
  "${BANYAN:-banyan}" --config "$OPERATOR_CONFIG" audit >"$answer" || fail 'banyan audit'
  echo "smoke: doctor and audit find nothing"
fi
echo "smoke: good"
