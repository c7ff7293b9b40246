//! Time and threads, in the hands of a simulation that runs everything on its own thread.

use std::{cell::Cell, marker::PhantomData};

use crate::{Time, Write};

thread_local! {
    static TOLD: Cell<Option<Time>> = const { Cell::new(None) };
    /// A bit for each write.
    static REACHED: Cell<u64> = const { Cell::new(0) };
}

/// This thread is simulated for as long as this value lives.
#[derive(Debug)]
pub struct Simulated {
    _not_to_be_sent: PhantomData<*const ()>,
}

impl Simulated {
    /// From now on clocks say what they are told here, and nothing leaves this thread.
    #[must_use]
    pub fn begin(time: Time) -> Self {
        TOLD.set(Some(time));
        REACHED.set(0);
        Self {
            _not_to_be_sent: PhantomData,
        }
    }

    /// Sets the clocks.
    pub fn tell(&self, time: Time) {
        TOLD.set(Some(time));
    }

    /// The writes that this thread came to since it began.
    pub fn reached(&self) -> impl Iterator<Item = Write> {
        let reached = REACHED.get();
        let all = Write::ALL.iter().copied();
        all.filter(move |write| reached & bit(*write) != 0)
    }
}

const fn bit(write: Write) -> u64 {
    1 << write as u64
}

/// Notes that a simulated thread came to a write.
pub(crate) fn note(write: Write) {
    if TOLD.get().is_some() {
        REACHED.set(REACHED.get() | bit(write));
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        TOLD.set(None);
    }
}

/// What the clocks say, where this thread is simulated.
#[must_use]
pub fn simulated() -> Option<Time> {
    TOLD.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_simulated_for_as_long_as_it_is_held_and_no_other_is() {
        let time = Time {
            of_database: 1,
            of_machine: 2,
        };
        let held = Simulated::begin(time);
        assert_eq!(simulated(), Some(time));
        crate::before(Write::RelayMark);
        assert!(held.reached().eq([Write::RelayMark]));
        let elsewhere = std::thread::spawn(simulated);
        assert_eq!(elsewhere.join().expect("a thread"), None);
        drop(held);
        assert_eq!(simulated(), None);
    }
}
