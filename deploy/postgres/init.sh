#!/bin/sh
# Makes a user for each part, and a database for each service, with the rights that each needs and no
# others. The log's database comes after it, by event-log.sh.
#
# PostgreSQL's image runs it once, on an empty data folder; it can also be run by hand against a
# server of your own (PGHOST, PGPORT and PGPASSWORD say which, POSTGRES_USER a superuser). The
# passwords come as DB_PASSWORD_… variables and are never on a command line.
set -eu

sql() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

# user ROLE: who may log in.
user() {
    variable="DB_PASSWORD_$(printf '%s' "$1" | tr '[:lower:]' '[:upper:]')"
    eval "PASSWORD=\${$variable:?}"
    export PASSWORD
    sql --dbname postgres --set role="$1" <<'SQL'
\getenv password PASSWORD
CREATE ROLE :"role" LOGIN PASSWORD :'password';
SQL
    unset PASSWORD
}

# owner SERVICE: a user with a database of its own, which nobody else may even connect to.
owner() {
    user "$1"
    sql --dbname postgres --set service="$1" <<'SQL'
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
}

for service in legacy auth question quiz achievement leaderboard admin maintenance; do
    owner "$service"
done
user log
user gateway

# Whoever speaks through events, and so may use the log.
sql --dbname postgres <<'SQL'
CREATE ROLE event_services NOLOGIN;
GRANT event_services TO auth, question, quiz, achievement, leaderboard, admin, maintenance, gateway;
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
SQL

# Who takes data over from the monolith reads its database, and cannot change it. Once everything
# has moved: REVOKE CONNECT ON DATABASE legacy FROM legacy_readers.
sql --dbname legacy <<'SQL'
CREATE ROLE legacy_readers NOLOGIN;
GRANT legacy_readers TO auth, question, quiz, achievement, leaderboard, admin;
GRANT CONNECT ON DATABASE legacy TO legacy_readers;
ALTER DEFAULT PRIVILEGES FOR ROLE legacy IN SCHEMA public GRANT SELECT ON TABLES TO legacy_readers;
SQL
