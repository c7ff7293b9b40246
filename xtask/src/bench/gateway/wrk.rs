//! Closed-loop load by wrk, and what it says.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};

/// How a request looks; see `load.lua`.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) method: &'static str,
    /// The path's end: which answer the origin gives.
    pub(super) size: &'static str,
    pub(super) routes: usize,
    /// A file of tokens, one a line, that are sent in turn.
    pub(super) tokens: Option<PathBuf>,
}

/// What one run gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) requests: f64,
    pub(super) seconds: f64,
    /// Milliseconds.
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// Runs wrk against an address.
///
/// # Errors
/// When wrk fails, or more than one answer in a thousand was none or no 200.
pub(super) fn run(
    folder: &Path,
    address: SocketAddr,
    connections: usize,
    time: Duration,
    shape: &Shape,
) -> anyhow::Result<Outcome> {
    let script = folder.join("load.lua");
    std::fs::write(&script, include_str!("load.lua"))?;
    let mut wrk = Command::new("wrk");
    wrk.args(["-t2", &format!("-c{connections}")]);
    wrk.arg(format!("-d{}s", time.as_secs().max(1)));
    wrk.arg("-s").arg(&script).arg(format!("http://{address}"));
    wrk.args(["--", shape.method, shape.size, &shape.routes.to_string()]);
    wrk.args(&shape.tokens);
    let output = wrk
        .stdin(Stdio::null())
        .output()
        .context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some((outcome, failed)) = read(&text) else {
        bail!(
            "wrk says: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    if failed > outcome.requests / 1000.0 {
        bail!("{failed} of {} requests failed", outcome.requests);
    }
    Ok(outcome)
}

fn read(text: &str) -> Option<(Outcome, f64)> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("figures "))?;
    let numbers: Vec<f64> = line
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    let [requests, micros, failed, p50, p99] = numbers[..] else {
        return None;
    };
    let outcome = Outcome {
        requests,
        seconds: micros / 1e6,
        p50: p50 / 1e3,
        p99: p99 / 1e3,
    };
    (requests > 0.0).then_some((outcome, failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let (outcome, failed) = read("Running\nfigures 1000 2000000 3 1500 9000\n").unwrap();
        assert_eq!(
            (outcome.requests, outcome.seconds, failed),
            (1000.0, 2.0, 3.0)
        );
        assert_eq!((outcome.p50, outcome.p99), (1.5, 9.0));
        assert_eq!(read("figures 0 1 2 3 4"), None);
        assert_eq!(read("unable to connect"), None);
    }
}
