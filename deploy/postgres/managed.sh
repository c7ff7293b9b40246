#!/bin/sh
# For a PostgreSQL (15 or newer) of your own, as on Kubernetes: a database for each part, with an owner who
# makes its tables (`quiz_owner`, for the migration Jobs) and a user who only uses them (`quiz`, for the part).
# What the owner will make is granted beforehand, so this comes before the first migration.
#
# PGHOST, PGPORT, PGPASSWORD and PGSSLMODE say where; POSTGRES_USER may make roles and databases, and need
# not be a superuser. The passwords come as DB_PASSWORD_QUIZ, DB_PASSWORD_QUIZ_OWNER and so on, never on a
# command line. A repeat is harmless; it sets the passwords and grants what is there already.
set -eu

sql() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

# role NAME: somebody who can log in with the password of DB_PASSWORD_NAME.
role() {
    variable="DB_PASSWORD_$(printf '%s' "$1" | tr '[:lower:]' '[:upper:]')"
    eval "PASSWORD=\${$variable:?}"
    export PASSWORD
    sql --dbname postgres --set role="$1" <<'SQL'
\getenv password PASSWORD
SELECT format('CREATE ROLE %I LOGIN', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" PASSWORD :'password';
SQL
    unset PASSWORD
}

# group NAME: those who may do something together.
group() {
    sql --dbname postgres --set role="$1" <<'SQL'
SELECT format('CREATE ROLE %I NOLOGIN', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
SQL
}

# database NAME USER: it belongs to USER_owner, USER reads and writes its tables, nobody else connects.
database() {
    role "$2"
    role "$2_owner"
    sql --dbname postgres --set database="$1" --set owner="$2_owner" --set role="$2" <<'SQL'
-- Without being a superuser one gives away only what one's own roles own.
GRANT :"owner" TO CURRENT_USER;
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'owner')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO :"role";
SQL
    sql --dbname "$1" --set owner="$2_owner" --set role="$2" <<'SQL'
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"role";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"role";
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO :"role";
SQL
}

for service in legacy auth question quiz achievement leaderboard admin maintenance; do
    database "$service" "$service"
done
database event_log log
role gateway
group event_services
group legacy_readers

# Whoever speaks through events reads the log and appends by log_append(), which works with the owner's
# rights and checks what is appended.
sql --dbname event_log <<'SQL'
GRANT event_services TO auth, question, quiz, achievement, leaderboard, admin, maintenance, gateway;
GRANT CONNECT ON DATABASE event_log TO event_services;
ALTER DEFAULT PRIVILEGES FOR ROLE log_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE log_owner IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO event_services, log;
ALTER DEFAULT PRIVILEGES FOR ROLE log_owner IN SCHEMA public GRANT SELECT ON TABLES TO event_services;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO event_services, log;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO event_services;
SQL

# Who takes data over from the monolith reads its database, and cannot change it. Once everything has moved:
# REVOKE CONNECT ON DATABASE legacy FROM legacy_readers.
sql --dbname legacy <<'SQL'
GRANT legacy_readers TO auth, question, quiz, achievement, leaderboard, admin;
GRANT CONNECT ON DATABASE legacy TO legacy_readers;
ALTER DEFAULT PRIVILEGES FOR ROLE legacy_owner IN SCHEMA public GRANT SELECT ON TABLES TO legacy_readers;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO legacy_readers;
SQL
