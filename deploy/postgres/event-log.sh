#!/bin/sh
# Makes the log's database, with the rights that its users need and no others. It can be repeated:
# what is there already stays, and gets the rights that it lacks. The users are those of init.sh.
#
# PostgreSQL's image runs it once, after init.sh; by hand it makes an empty database in the place of
# one that was lost (runbooks/log-lost.md). PGHOST, PGPORT and PGPASSWORD say which server, POSTGRES_USER
# or PGUSER a superuser, EVENT_LOG the database's name where it is another one.
set -eu

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres \
    --username "${POSTGRES_USER:-${PGUSER:?}}" --set database="${EVENT_LOG:-event_log}" <<'SQL'
SELECT format('CREATE DATABASE %I OWNER log', :'database')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO event_services;

-- Default privileges are of one database: they are lost with it. Whoever speaks through events reads
-- the log, appends by log_append() and tells how far its backups reach by log_backed_up(); these work
-- with the owner's rights and check what they are told. The log's own process makes the tables, so it
-- is started first.
\connect :"database"
SET client_min_messages = warning;
ALTER DEFAULT PRIVILEGES FOR ROLE log REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE log IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO event_services;
ALTER DEFAULT PRIVILEGES FOR ROLE log IN SCHEMA public GRANT SELECT ON TABLES TO event_services;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO event_services;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO event_services;
SQL
