//! Logs: JSON lines, or readable ones on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl Format {
    /// Pretty when standard error is a terminal, else JSON.
    pub fn detect() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Pretty
        } else {
            Self::Json
        }
    }
}

/// Sends logs to standard error, filtered by `RUST_LOG` or else by `default_filter` (`"info"`).
/// A second call in one process changes nothing.
pub fn init(format: Format, default_filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default_filter.into());
    let registry = tracing_subscriber::registry().with(filter);
    let done = match format {
        Format::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        Format::Pretty => registry
            .with(fmt::layer().compact().with_writer(std::io::stderr))
            .try_init(),
    };
    // Only a second `init` can fail, and then logs already go somewhere.
    drop(done);
}
