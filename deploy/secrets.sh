#!/bin/sh
# Writes the settings and fresh secrets of a compose deployment to standard output:
#   deploy/secrets.sh core > .env      # the system alone
#   deploy/secrets.sh full > .env      # with Prometheus, Grafana and Jaeger
# Keep the file: what the databases hold was made with these passwords.
set -eu
umask 077

secret() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

case "${1:-}" in
core)
    traces=
    ;;
full)
    traces=http://jaeger:4318
    ;;
*)
    echo "usage: $0 core|full > .env" >&2
    exit 64
    ;;
esac

echo "COMPOSE_PROFILES=$1"
echo "OTEL_EXPORTER_OTLP_ENDPOINT=$traces"
# Words before the digits: what a program reads from its environment must not look like a number.
echo "POSTGRES_PASSWORD=$(secret)"
for role in LOG GATEWAY LEGACY AUTH QUESTION QUIZ ACHIEVEMENT LEADERBOARD ADMIN MAINTENANCE; do
    echo "DB_PASSWORD_$role=$(secret)"
done
echo "NATS_PASSWORD=nats-$(secret)"
# What the keys of the people are sealed under whom events name; docs/personal-data.md tells how to change it.
echo "PERSONAL_KEYS=first:$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
echo "OPS_TOKEN=ops-$(secret)"
echo "ADMIN_TOKEN=admin-$(secret)"
echo "COOKIE_KEY=cookie-$(secret)"
echo "ADMINISTRATOR_EMAIL=admin@node-learn.example"
echo "ADMINISTRATOR_PASSWORD=first-$(secret)"
echo "GRAFANA_PASSWORD=grafana-$(secret)"
