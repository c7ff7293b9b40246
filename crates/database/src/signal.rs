//! Wake-ups between tasks of one process: whoever committed something tells whoever waits for it.

use std::{collections::HashMap, sync::Mutex};

use tokio::sync::watch;

/// Named counters that a committed transaction raises. A signal is a hint that saves a poll's
/// delay; it is never the only way to notice something, since other processes write too.
#[derive(Debug, Default)]
pub(crate) struct Signals(Mutex<HashMap<&'static str, watch::Sender<u64>>>);

impl Signals {
    pub(crate) fn raise(&self, name: &'static str) {
        self.with(name, |sender| {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        });
    }

    pub(crate) fn subscribe(&self, name: &'static str) -> watch::Receiver<u64> {
        self.with(name, watch::Sender::subscribe)
    }

    fn with<T>(&self, name: &'static str, act: impl FnOnce(&watch::Sender<u64>) -> T) -> T {
        // A poisoned lock only says that another thread panicked; the counters are still counters.
        let mut signals = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        act(signals.entry(name).or_insert_with(|| watch::Sender::new(0)))
    }
}
