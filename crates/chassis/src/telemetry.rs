//! Logs: JSON lines, or readable ones on a terminal; and the start of the trace export.

mod line;

use std::{io::IsTerminal, sync::OnceLock};

use tracing::{Span, error_span};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use self::line::Line;
use crate::trace;

/// What a process that is no single part is called in its log lines.
const WHOLE: &str = "banyan";

static SERVICE: OnceLock<&'static str> = OnceLock::new();

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

/// Sends logs to standard error, filtered by `RUST_LOG` or else by `default_filter` (`"info"`), and
/// spans to where the `OTEL_…` variables say. `parts` are the services that this process runs: the
/// one gives its name to every line. A second call in one process changes nothing.
pub fn init(format: Format, default_filter: &str, parts: &[&'static str]) {
    let service = if let [only] = parts { only } else { WHOLE };
    // Only a second `init` can fail.
    SERVICE.set(service).ok();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default_filter.into());
    let registry = tracing_subscriber::registry().with(filter);
    let done = match format {
        Format::Json => registry
            .with(
                fmt::layer()
                    .fmt_fields(fmt::format::JsonFields::new())
                    .event_format(Line)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        Format::Pretty => registry
            .with(fmt::layer().compact().with_writer(std::io::stderr))
            .try_init(),
    };
    // Only a second `init` can fail, and then logs already go somewhere.
    drop(done);
    trace::start(parts);
}

/// The part of the process that log lines written inside of this span come from. Its level is that
/// of errors, so that no filter for lines takes their names away.
pub fn part(service: &'static str) -> Span {
    error_span!("part", service)
}

/// The name of the process's only part, or of the whole.
fn service() -> &'static str {
    SERVICE.get().copied().unwrap_or(WHOLE)
}
