//! HTTP serving: the layers around every service's router, extractors whose refusals name the
//! field, and a bounded drain.

pub mod conditional;
pub mod cursor;
mod extract;
pub mod live;
pub mod openapi;
pub mod prefer;
mod stack;

use std::net::SocketAddr;

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
    // Handlers may ask who is at the other end: axum's `ConnectInfo`.
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
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
