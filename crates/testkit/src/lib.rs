//! What tests stand on: private PostgreSQL, NATS and RabbitMQ servers, child processes, a fault-injecting
//! TCP proxy, a receiver of traces, commits that fail on demand, and waiting with a bound.
//!
//! Only tests depend on this crate. Its invariant: nothing outlives the test that started it, not
//! even when that test is killed with SIGKILL. Each test process has one small guard process
//! (`guard.rs`) that sees the test's end as the end of a pipe and then stops what it was told about.

mod backend;
mod commit_faults;
mod eventually;
mod guard;
mod issuer;
mod nats;
mod ports;
mod postgres;
mod process;
pub mod proxy;
mod python;
mod rabbit;
mod server;
mod statements;
mod traces;

pub use backend::{Backend, backends};
pub use commit_faults::CommitFaults;
pub use eventually::{Outcome, eventually};
pub use issuer::Issuer;
pub use nats::{Disturbance, Nats, NatsBinary, NatsCluster, NatsDisturber};
pub use ports::{free_port, free_port_offset};
pub use postgres::{POSTGRES_URL, Postgres, TestDatabase, database};
pub use process::Process;
pub use python::python;
pub use rabbit::{Rabbit, RabbitCluster};
pub use statements::Statements;
pub use tempfile::TempDir;
pub use traces::{ReceivedSpan, TraceReceiver};

/// What people's keys are sealed under in tests, as the setting `personal_keys` takes it.
pub const PERSONAL_KEYS: &str =
    "test:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A fresh folder, deleted when the value is dropped or when this process dies.
///
/// # Panics
/// When the system's temporary folder is not writable.
pub fn temp_dir() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("banyan-test-")
        .tempdir()
        .expect("the temporary folder is writable");
    guard::remove_at_death(folder.path());
    folder
}
