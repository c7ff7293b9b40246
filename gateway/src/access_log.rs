//! One line for each request, written when its last byte went out or its client went away.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};

use crate::flag::Side;
use crate::table::Route;
use crate::trace::Trace;

/// What is known about a request when its response begins. Writes its line when dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) started: Instant,
    pub(crate) method: Method,
    /// Without the query, which may hold what nobody should read in a log.
    pub(crate) path: String,
    pub(crate) client: std::net::IpAddr,
    pub(crate) trace: Trace,
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) side: Option<Side>,
    pub(crate) status: StatusCode,
    pub(crate) fell_back: bool,
    pub(crate) bytes: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let route = self.route.as_ref().map(|route| route.id.as_str());
        let elapsed = self.started.elapsed().as_secs_f64() * 1000.0;
        tracing::info!(
            target: "access",
            trace_id = %self.trace,
            correlation_id = %self.trace.context().correlation_id(),
            client = %self.client,
            method = %self.method,
            path = self.path,
            status = self.status.as_u16(),
            route,
            side = self.side.map(Side::as_str),
            fallback = self.fell_back,
            bytes = self.bytes,
            elapsed_ms = elapsed,
            "request"
        );
    }
}
