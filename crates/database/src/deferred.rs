//! What a transaction writes for several callers at once: each adds to it, and before the commit all
//! of it is written with as few statements as its database likes.
//!
//! Invariants:
//! - It is written before the commit, or taken back with the transaction: nobody who adds to it has to
//!   come back for it.
//! - Going back to a savepoint takes exactly what was added since, and what was written since waits again.

use std::{any::Any, pin::Pin};

use crate::{Result, Tx};

/// What [`Deferred::write`] returns.
pub type Writing<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Work of one kind that waits for its transaction's end; see [`Tx::deferred`].
pub trait Deferred: Any + Clone + Default + Send {
    /// Writes all that was added.
    fn write(self, tx: &mut Tx) -> Writing<'_>;
}

/// The work of all kinds, in the order in which the kinds were begun.
#[derive(Default)]
pub(crate) struct Pending {
    kinds: Vec<Box<dyn Kind>>,
}

impl Pending {
    /// The work of one kind, begun where there is none.
    pub(crate) fn of<T: Deferred>(&mut self) -> &mut T {
        let mut kinds = self.kinds.iter().map(|kind| &**kind as &dyn Any);
        let place = kinds.position(|kind| kind.is::<T>());
        let place = place.unwrap_or_else(|| {
            self.kinds.push(Box::new(T::default()));
            self.kinds.len() - 1
        });
        let kind: &mut dyn Any = &mut *self.kinds[place];
        kind.downcast_mut().expect("it is where its kind was found")
    }

    /// All that is there now, to be written.
    pub(crate) fn take(&mut self) -> Vec<Box<dyn Kind>> {
        std::mem::take(&mut self.kinds)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

impl Clone for Pending {
    fn clone(&self) -> Self {
        let kinds = self.kinds.iter().map(|kind| kind.again());
        Self {
            kinds: kinds.collect(),
        }
    }
}

/// [`Deferred`] without its type.
pub(crate) trait Kind: Any + Send {
    fn again(&self) -> Box<dyn Kind>;
    fn write(self: Box<Self>, tx: &mut Tx) -> Writing<'_>;
}

impl<T: Deferred> Kind for T {
    fn again(&self) -> Box<dyn Kind> {
        Box::new(self.clone())
    }

    fn write(self: Box<Self>, tx: &mut Tx) -> Writing<'_> {
        Deferred::write(*self, tx)
    }
}
