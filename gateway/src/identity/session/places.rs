//! How many questions are under way, in all and of one client.
//!
//! Invariant: questions of one client's making take at most a quarter of the places, so that whoever
//! makes sessions up takes nobody else's login away. Who finds no place waits for one, but not long
//! ([`PATIENCE`]), and of one client no more wait than there are places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::network;

/// Longer than a session server takes to answer, and shorter than people wait.
const PATIENCE: Duration = Duration::from_millis(500);

/// The places for questions.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    most: u32,
    clients: Mutex<HashMap<IpAddr, Client>>,
}

/// A client that asks or waits.
#[derive(Debug)]
struct Client {
    share: Arc<Semaphore>,
    present: u32,
}

/// One question's place in the line, and then its place.
#[derive(Debug)]
pub(super) struct InLine {
    places: Arc<Places>,
    client: IpAddr,
    share: Arc<Semaphore>,
}

/// The place of a question that is under way, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _all: OwnedSemaphorePermit,
    _share: OwnedSemaphorePermit,
    _in_line: InLine,
}

impl Places {
    pub(super) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Semaphore::new(most as usize)),
            most,
            clients: Mutex::default(),
        })
    }

    /// A place in the line; none where enough of this client stand there.
    pub(super) fn line_up(self: &Arc<Self>, client: IpAddr) -> Option<InLine> {
        let client = network(client);
        let mut clients = self.clients();
        let known = clients.entry(client).or_insert_with(|| Client {
            share: Arc::new(Semaphore::new((self.most / 4).max(1) as usize)),
            present: 0,
        });
        if known.present >= self.most.max(4) {
            return None;
        }
        known.present += 1;
        Some(InLine {
            share: Arc::clone(&known.share),
            places: Arc::clone(self),
            client,
        })
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<IpAddr, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InLine {
    /// A place, once there is one; none where that takes too long.
    pub(super) async fn place(self) -> Option<Place> {
        let both = async {
            // First of the client's own: nobody stands in the line of all who may not ask anyway.
            let share = Arc::clone(&self.share).acquire_owned().await.ok()?;
            let all = Arc::clone(&self.places.all).acquire_owned().await.ok()?;
            Some((share, all))
        };
        let (share, all) = tokio::time::timeout(PATIENCE, both).await.ok()??;
        Some(Place {
            _all: all,
            _share: share,
            _in_line: self,
        })
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        let mut clients = self.places.clients();
        if let Some(known) = clients.get_mut(&self.client) {
            known.present -= 1;
            if known.present == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_a_quarter_and_leaves_the_rest_to_others() {
        let places = Places::new(8);
        let line = |client: &str| places.line_up(address(client)).unwrap();
        let first = line("2001:db8::1").place().await.unwrap();
        let _second = line("2001:db8::2").place().await.unwrap();
        assert!(line("2001:db8::3").place().await.is_none());
        let other = line("10.0.0.1").place().await;
        assert!(other.is_some());
        // Who waits gets the place that is given back.
        let (third, ()) = tokio::join!(line("2001:db8::3").place(), async { drop(first) });
        assert!(third.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn all_together_have_no_more_than_all_places() {
        let places = Places::new(2);
        let line = |client: &str| places.line_up(address(client)).unwrap();
        let held = [
            line("10.0.0.1").place().await,
            line("10.0.0.2").place().await,
        ];
        assert!(held.iter().all(Option::is_some));
        assert!(line("10.0.0.3").place().await.is_none());
        drop(held);
        assert!(line("10.0.0.3").place().await.is_some());
        assert!(places.clients().is_empty(), "who is gone is forgotten");
    }

    #[test]
    fn of_one_client_a_bounded_number_waits() {
        let places = Places::new(8);
        let held: Vec<_> = (0..8)
            .map(|_| places.line_up(address("10.0.0.1")))
            .collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.line_up(address("10.0.0.1")).is_none());
        assert!(places.line_up(address("10.0.0.2")).is_some());
    }
}
