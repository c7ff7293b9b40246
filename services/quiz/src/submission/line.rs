//! A line of those who wait for the same kind of work, and the one task that does it for groups of them:
//! a group forms while the one before it is worked on, so nobody waits for company.
//!
//! Invariant: while somebody waits, a task serves, or whoever joins next begins one.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those who wait.
pub(super) struct Line<T> {
    queue: Mutex<Queue<T>>,
}

struct Queue<T> {
    waiting: Vec<T>,
    is_served: bool,
}

/// What whoever joins has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Duty {
    /// Begin a task that serves: nobody does.
    Serve,
    /// Wait.
    Wait,
}

impl<T> Line<T> {
    /// A line where nobody waits.
    pub(super) const fn new() -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: Vec::new(),
                is_served: false,
            }),
        }
    }

    pub(super) fn join(&self, one: T) -> Duty {
        let mut queue = self.queue();
        queue.waiting.push(one);
        match std::mem::replace(&mut queue.is_served, true) {
            true => Duty::Wait,
            false => Duty::Serve,
        }
    }

    /// Those of the waiting that `belongs` takes into the next group. None when it takes nobody, and then
    /// nobody serves.
    pub(super) fn next(&self, belongs: impl FnMut(&mut T) -> bool) -> Option<Vec<T>> {
        let mut queue = self.queue();
        let group: Vec<T> = queue.waiting.extract_if(.., belongs).collect();
        queue.is_served = !group.is_empty();
        queue.is_served.then_some(group)
    }

    /// For the task that serves: when it panics, whoever joins next begins another.
    pub(super) const fn serving(&self) -> Serving<'_, T> {
        Serving(self)
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the task that serves.
pub(super) struct Serving<'a, T>(&'a Line<T>);

impl<T> Drop for Serving<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue().is_served = false;
        }
    }
}
