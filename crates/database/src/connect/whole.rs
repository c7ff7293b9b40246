//! Beginning a transaction, wholly or not at all.
//!
//! Whoever waits for a begin may give up: a client that goes away takes its request's future with it.
//! The driver has sent BEGIN by then and forgets it, and the connection goes back to its pool with a
//! transaction open that nobody knows of. The next statement that is to be its own transaction would be
//! a part of it: told to be durable, invisible to all others, and gone once the server ends the idle
//! transaction. So a begin that nobody waits for any more is carried on until it can be taken back.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use sqlx::{PgPool, Postgres, Transaction};
use tokio::runtime::Handle;

type Beginning = Pin<Box<dyn Future<Output = Begun> + Send>>;
type Begun = Result<Transaction<'static, Postgres>, sqlx::Error>;

/// Begins a transaction; one that is given up rolls itself back.
pub(super) async fn begin(pool: &PgPool) -> Begun {
    let connection = pool.acquire().await?;
    Whole(Some(Transaction::begin(connection, None))).await
}

/// The begin, until it is done.
struct Whole(Option<Beginning>);

impl Future for Whole {
    type Output = Begun;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Begun> {
        let Some(beginning) = self.0.as_mut() else {
            // Nobody asks again for what they have.
            return Poll::Pending;
        };
        let begun = beginning.as_mut().poll(context);
        if begun.is_ready() {
            self.0 = None;
        }
        begun
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // Where there is no runtime any more there is no pool either.
        if let (Some(beginning), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            // Dropped once it is there, the transaction rolls itself back.
            runtime.spawn(async move { drop(beginning.await) });
        }
    }
}
