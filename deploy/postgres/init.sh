#!/bin/sh
# Makes a database and a user for each service, with the rights that each needs and no others.
#
# PostgreSQL's image runs it once, on an empty data folder; it can also be run by hand against a
# server of your own (PGHOST, PGPORT and PGPASSWORD say which, POSTGRES_USER a superuser). The
# passwords come as DB_PASSWORD_… variables and are never on a command line.
set -eu

sql() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

# owner DATABASE ROLE: a user with a database of its own, which nobody else may even connect to.
owner() {
    variable="DB_PASSWORD_$(printf '%s' "$2" | tr '[:lower:]' '[:upper:]')"
    eval "PASSWORD=\${$variable:?}"
    export PASSWORD
    sql --dbname postgres --set database="$1" --set role="$2" <<'SQL'
\getenv password PASSWORD
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"role";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
SQL
    unset PASSWORD
}

for service in legacy auth question quiz achievement leaderboard admin maintenance; do
    owner "$service" "$service"
done
owner event_log log

# Whoever speaks through events reads the log and appends by log_append(), which works with the
# owner's rights and checks what is appended. The log's own process makes the tables, so it is
# started first.
PASSWORD="${DB_PASSWORD_GATEWAY:?}"
export PASSWORD
sql --dbname event_log <<'SQL'
\getenv password PASSWORD
CREATE ROLE gateway LOGIN PASSWORD :'password';
CREATE ROLE event_services NOLOGIN;
GRANT event_services TO auth, question, quiz, achievement, leaderboard, admin, maintenance, gateway;
GRANT CONNECT ON DATABASE event_log TO event_services;
ALTER DEFAULT PRIVILEGES FOR ROLE log REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE log IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO event_services;
ALTER DEFAULT PRIVILEGES FOR ROLE log IN SCHEMA public GRANT SELECT ON TABLES TO event_services;
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
SQL
unset PASSWORD

# Who takes data over from the monolith reads its database, and cannot change it. Once everything
# has moved: REVOKE CONNECT ON DATABASE legacy FROM legacy_readers.
sql --dbname legacy <<'SQL'
CREATE ROLE legacy_readers NOLOGIN;
GRANT legacy_readers TO auth, question, quiz, achievement, leaderboard, admin;
GRANT CONNECT ON DATABASE legacy TO legacy_readers;
ALTER DEFAULT PRIVILEGES FOR ROLE legacy IN SCHEMA public GRANT SELECT ON TABLES TO legacy_readers;
SQL
