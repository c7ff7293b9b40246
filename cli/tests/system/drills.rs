//! Runbooks are drills: each fault is really made in the distributed form, `banyan doctor` has to
//! find it and name the runbook, and what the runbook says is typed, block by block.
//!
//! A drill is one test, named as its runbook. Those that take longer than 45 seconds are below
//! [`slow`]: a test run leaves them out (`.config/nextest.toml`), `cargo xtask drills` does not.
//! How a runbook is written so that it can be run: `runbooks/README.md`.

mod drill;
mod output;
mod part;
mod record;
mod runbook;
mod shell;

mod bad_release;
mod broker_down;
mod consumer_lag;
mod cut_over;
mod data_inconsistent;
mod gateway_overloaded;
mod key_compromised;
mod log_lost;
mod poison_event;
mod postgres_down;
mod restore_from_backup;
mod retire_legacy_routes;
mod saga_timeouts;
mod service_crashed;
mod slow;

pub(crate) use drill::Drill;
