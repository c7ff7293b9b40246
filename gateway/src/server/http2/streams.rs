//! Runs the streams of a connection, and ends those whose client takes no more of its answer.
//!
//! A client that grants no window holds its stream, the upstream's connection and a place in the
//! bulkhead; neither the socket nor HTTP/2's pings tell, since everything else goes on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::Executor;

use crate::pace::Pace;
use crate::server::client::Client;
use crate::server::reply::Progress;
use crate::stats::Ended;

/// The executor of one connection's streams.
#[derive(Debug, Clone)]
pub(super) struct Streams(Arc<Client>);

tokio::task_local! {
    /// That of the stream whose task this is.
    static PROGRESS: Arc<Progress>;
}

/// The progress of the stream that this is called from.
pub(super) fn progress() -> Option<Arc<Progress>> {
    PROGRESS.try_with(Arc::clone).ok()
}

impl Streams {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self(client)
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let progress = Arc::new(Progress::default());
        let pace = Pace::new(self.0.least_rate);
        let watched = Watched {
            stream: Box::pin(PROGRESS.scope(Arc::clone(&progress), stream)),
            progress,
            pace,
            seen: 0,
            client: Arc::clone(&self.0),
        };
        tokio::spawn(watched);
    }
}

/// A stream that ends when its client is too slow: dropped, it is reset.
struct Watched<F> {
    stream: Pin<Box<F>>,
    progress: Arc<Progress>,
    pace: Pace,
    seen: u64,
    client: Arc<Client>,
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let (bytes, is_clients_turn) = this.progress.so_far();
        if bytes != this.seen || !is_clients_turn {
            let moved = usize::try_from(bytes - this.seen).unwrap_or(usize::MAX);
            this.seen = bytes;
            this.pace.moved(moved);
        }
        if is_clients_turn && this.pace.poll_too_slow(cx).is_ready() {
            this.client.counts.ended(Ended::Slow);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
