//! The data plane over real sockets, between clients that count bytes and upstreams that count
//! requests.

mod framed;
#[expect(
    dead_code,
    reason = "the tests of the configuration want other halves of the keys than those of tokens"
)]
mod keys;
mod scripted;
mod stage;

mod access;
mod again;
mod calls;
mod compression;
mod conformance;
mod cors;
mod fallback;
mod flips;
mod framing;
mod front;
mod headers;
mod hints;
mod life;
mod limits;
mod limits_shared;
mod messages;
mod misbehaving;
mod multiplexed;
mod overload;
mod queue;
mod reloads;
mod retries;
mod reuse;
mod rules;
mod sessions;
mod sides;
mod templates;
mod tokens;
mod trusted;
