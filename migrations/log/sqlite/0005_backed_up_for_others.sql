-- A file has no users whose rights could differ: PostgreSQL alone has something to change here.
SELECT 1;
