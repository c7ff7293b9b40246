//! `main`'s frame: runtime, signals, exit codes.

use std::{future::Future, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use crate::{Shutdown, config, problem, trace};

/// Exit code for a wrong configuration or wrong arguments (`EX_USAGE` of sysexits.h).
pub const MISUSED: u8 = 64;

/// Runs `body` until it returns, and sends the last spans, within a bound. SIGTERM or SIGINT begins the shutdown; a second one leaves at
/// once. Exit codes: 0 done, 1 failed, 64 for [`config::Faults`].
pub fn run<F>(body: impl FnOnce(Shutdown) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    if let Err(fault) = problem::check_pages() {
        return report(Err(config::Faults(vec![fault]).into()));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let shutdown = Shutdown::new();
    let result = runtime.block_on(async {
        match watch_signals(shutdown.clone()) {
            Ok(()) => body(shutdown).await,
            Err(error) => Err(anyhow::Error::new(error).context("cannot listen for signals")),
        }
    });
    trace::finish();
    // Whatever is still blocked (a hash, a file) must not hold the exit.
    runtime.shutdown_background();
    report(result)
}

/// Prints a failure the way every binary of this project does, and names its exit code.
pub fn report(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.chain().any(|cause| cause.is::<config::Faults>()) {
                ExitCode::from(MISUSED)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn watch_signals(shutdown: Shutdown) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for count in 1.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if count > 1 {
                tracing::warn!("second signal: leaving at once");
                std::process::exit(1);
            }
            tracing::info!("shutting down; a second signal leaves at once");
            shutdown.trigger();
        }
    });
    Ok(())
}
