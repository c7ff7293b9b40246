//! HTTP serving: the layers around every service's router, extractors whose refusals name the
//! field, and a bounded drain.

pub mod cursor;
mod extract;
pub mod openapi;
mod stack;

use axum::Router;
use tokio::net::TcpListener;

pub use extract::{Json, Path, Query};
pub use stack::{Service, stack};

use crate::{Shutdown, shutdown::DRAIN};

/// Serves `router` until the shutdown begins, then lets open requests finish within the drain
/// time.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: Shutdown,
) -> std::io::Result<()> {
    let begun = shutdown.clone();
    let serving = axum::serve(listener, router)
        .with_graceful_shutdown(async move { begun.cancelled().await });
    tokio::select! {
        result = serving.into_future() => result,
        () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN).await } => {
            tracing::warn!("open requests were cut off after the drain time");
            Ok(())
        }
    }
}
