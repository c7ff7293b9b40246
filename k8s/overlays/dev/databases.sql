-- Run once, on an empty disk. In development everybody is the same user; staging and production have
-- an owner and a user for each database.
CREATE DATABASE event_log;
CREATE DATABASE legacy;
CREATE DATABASE auth;
CREATE DATABASE question;
CREATE DATABASE quiz;
CREATE DATABASE achievement;
CREATE DATABASE leaderboard;
CREATE DATABASE admin;
CREATE DATABASE maintenance;
