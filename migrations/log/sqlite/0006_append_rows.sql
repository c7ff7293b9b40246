-- On SQLite whoever appends writes the rows itself: PostgreSQL alone has something to change here.
SELECT 1;
