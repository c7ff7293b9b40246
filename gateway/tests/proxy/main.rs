//! The data plane over real sockets, between clients that count bytes and upstreams that count
//! requests.

mod framed;
mod scripted;
mod stage;

mod access;
mod calls;
mod conformance;
mod fallback;
mod headers;
mod life;
mod limits;
mod messages;
mod multiplexed;
mod retries;
mod sessions;
mod sides;
mod templates;
mod tokens;
mod trusted;
