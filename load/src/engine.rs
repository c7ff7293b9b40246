//! The open loop: everybody comes at their time, whether the system keeps up or not.
//!
//! Invariant: a latency counts from the moment at which its arrival was due. What waits because all
//! players are busy, or because this program got no processor, is charged for that wait; a stalled
//! system cannot hide its stall by slowing its clients down (coordinated omission).

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{
    measure::{histogram, micros},
    schedule::Arrival,
};

/// What an arrival starts.
pub trait Work: Send + Sync + 'static {
    /// Who does it; one thing at a time.
    type Player: Send + 'static;

    /// Notes that an arrival was due, so long after the phase began; also one that is then dropped.
    fn due(&self, _at: Duration) {}

    /// Does all of it and gives the player back.
    fn perform(
        self: Arc<Self>,
        arrival: Arrival,
        player: Self::Player,
        begin: Begin,
    ) -> impl Future<Output = Self::Player> + Send;
}

/// When something should have begun, and when it did.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// When the phase began: what an arrival's time counts from.
    pub phase: Instant,
    /// When it was due.
    pub due: Instant,
    /// When it began.
    pub begun: Instant,
}

impl Begin {
    /// How long it waited for a player and for this program.
    pub fn delay(&self) -> Duration {
        self.begun.saturating_duration_since(self.due)
    }
}

/// How the generator itself did.
#[derive(Clone, Debug)]
pub struct Driven {
    /// Arrivals that were started.
    pub started: u64,
    /// Arrivals that found the queue full and were not started.
    pub dropped: u64,
    /// The most that waited for a player at once.
    pub longest_queue: usize,
    /// How late this program looked at the clock for each arrival, in microseconds: its own delay,
    /// whatever the system did.
    pub lag: Histogram<u64>,
}

/// Lets all arrivals come; returns once everything that began has ended.
///
/// `players` get a random one of the idle for each arrival; while none is idle, up to `queue`
/// arrivals wait in their order.
///
/// # Errors
/// When one of them panicked: its player is lost, and so is what it would have measured. The others
/// are broken off.
pub async fn drive<W: Work>(
    work: &Arc<W>,
    players: &mut Vec<W::Player>,
    arrivals: impl Iterator<Item = Arrival>,
    queue: usize,
) -> Result<Driven, JoinError> {
    let phase = Instant::now();
    let mut under_way = JoinSet::new();
    let mut arrivals = arrivals.peekable();
    let mut waiting = VecDeque::new();
    let mut driven = Driven {
        started: 0,
        dropped: 0,
        longest_queue: 0,
        lag: histogram(),
    };
    loop {
        while let Some(ended) = under_way.try_join_next() {
            players.push(ended?);
        }
        let now = phase.elapsed();
        while let Some(arrival) = arrivals.next_if(|next| next.at <= now) {
            driven.lag.saturating_record(micros(now - arrival.at));
            work.due(arrival.at);
            if waiting.len() < queue.max(1) {
                waiting.push_back(arrival);
            } else {
                driven.dropped += 1;
            }
        }
        while !players.is_empty()
            && let Some(arrival) = waiting.pop_front()
        {
            let mut random = StdRng::seed_from_u64(arrival.seed);
            let player = players.swap_remove(random.random_range(0..players.len()));
            let work = Arc::clone(work);
            under_way.spawn(async move {
                let begin = Begin {
                    phase,
                    due: phase + arrival.at,
                    begun: Instant::now(),
                };
                work.perform(arrival, player, begin).await
            });
            driven.started += 1;
        }
        driven.longest_queue = driven.longest_queue.max(waiting.len());
        let next = arrivals.peek().map(|arrival| phase + arrival.at);
        if next.is_none() && waiting.is_empty() && under_way.is_empty() {
            return Ok(driven);
        }
        tokio::select! {
            () = sleep_until(next.unwrap_or(phase)), if next.is_some() => {}
            Some(ended) = under_way.join_next() => players.push(ended?),
        }
    }
}
