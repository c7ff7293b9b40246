//! Upstreams that speak HTTP/2: what is shared, what ends with what, and what may be asked again,
//! counted by what they saw.

mod queued;
mod repeated;
mod streams;

use std::net::SocketAddr;

use crate::stage::{Stage, upstream};

/// A gateway whose clients share their connections to one upstream of HTTP/2.
async fn stage(legacy: SocketAddr, settings: &str) -> Stage {
    Stage::single(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy, &format!("protocol = \"h2c\"\n{settings}"))
    ))
    .await
}
