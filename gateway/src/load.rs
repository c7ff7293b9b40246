//! How many requests are under way in the whole process, and how many may be.
//!
//! Invariant: never more than the setting says; a request that finds no room is answered at once and
//! holds nothing, so that memory is bounded by the setting and not by the clients' patience. A lower
//! setting holds from the next request on: what was set aside under the one before is given back. Each
//! worker sets places aside on a cache line of its own, so that workers meet seldom; what one has set
//! aside and does not need is taken by another before anybody is sent away.

use std::fmt::Error;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The process's load.
#[derive(Debug)]
pub struct Load {
    slots: Arc<Slots>,
    refused: AtomicU64,
    pace: Mutex<Pace>,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    slots: Arc<Slots>,
    slot: usize,
    batch: usize,
}

/// No room: come back after so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) u64);

#[derive(Debug)]
struct Slots {
    /// Places that are taken or set aside.
    taken: AtomicUsize,
    each: [Slot; SLOTS],
}

/// One worker's counts, alone on their cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot {
    /// Places that are set aside.
    free: AtomicUsize,
    ended: AtomicU64,
}

/// How fast requests end.
#[derive(Debug)]
struct Pace {
    since: Instant,
    ended: u64,
    /// Ends per second, when that was last looked at.
    rate: Option<f64>,
}

/// More workers than that share slots.
const SLOTS: usize = 64;
/// Places that a worker sets aside at once, at most.
const MAX_BATCH: usize = 64;
/// A pace is judged over this long at least.
const MIN_LOOK: Duration = Duration::from_secs(1);
/// Nobody is sent away for longer: by then everything may be different.
const LONGEST_WAIT: u64 = 30;

impl Default for Load {
    fn default() -> Self {
        Self {
            slots: Arc::new(Slots {
                taken: AtomicUsize::new(0),
                each: std::array::from_fn(|_| Slot::default()),
            }),
            refused: AtomicU64::new(0),
            pace: Mutex::new(Pace {
                since: Instant::now(),
                ended: 0,
                rate: None,
            }),
        }
    }
}

impl Load {
    /// A place among `most`, on this worker's account.
    ///
    /// # Errors
    /// When all are taken.
    pub(crate) fn enter(&self, worker: usize, most: usize) -> Result<Place, Full> {
        let slots = &self.slots;
        let slot = worker % SLOTS;
        // A small number of places is shared one by one.
        let batch = (most / (4 * SLOTS)).clamp(1, MAX_BATCH);
        let has_one = slots.is_within(most)
            && (slots.each[slot].take(1) || slots.set_aside(slot, batch, most) || slots.take_any());
        if has_one {
            return Ok(Place {
                slots: Arc::clone(slots),
                slot,
                batch,
            });
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Full(self.wait(Instant::now())))
    }

    /// Requests under way.
    pub fn under_way(&self) -> usize {
        let free = |slot: &Slot| slot.free.load(Ordering::Relaxed);
        let free: usize = self.slots.each.iter().map(free).sum();
        self.slots
            .taken
            .load(Ordering::Relaxed)
            .saturating_sub(free)
    }

    /// Writes the counts as metrics.
    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let under_way = encoder.encode_descriptor(
            "banyan_gateway_in_flight",
            "Requests under way in the whole process",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.under_way() as f64).encode(under_way)?;
        let refused = encoder.encode_descriptor(
            "banyan_gateway_overload_refusals",
            "Requests that were sent away because max_in_flight was reached",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(self.refused.load(Ordering::Relaxed)).encode(refused)
    }

    /// After how many seconds there is room for all that are here now, at the pace of late.
    fn wait(&self, now: Instant) -> u64 {
        let ended = |slot: &Slot| slot.ended.load(Ordering::Relaxed);
        let ended = self.slots.each.iter().map(ended).sum();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = pace.look(ended, now);
        seconds_for(self.under_way(), rate)
    }
}

impl Slots {
    /// Whether no more are taken or set aside than there may be; mostly one look at what seldom changes.
    fn is_within(&self, most: usize) -> bool {
        let taken = self.taken.load(Ordering::Relaxed);
        taken <= most || self.shrink(taken - most) || self.taken.load(Ordering::Relaxed) <= most
    }

    /// Gives back what is set aside, so many places at most; whether there were that many.
    #[cold]
    fn shrink(&self, mut surplus: usize) -> bool {
        for slot in &self.each {
            let free = slot.free.load(Ordering::Relaxed).min(surplus);
            if free > 0 && slot.take(free) {
                self.taken.fetch_sub(free, Ordering::Relaxed);
                surplus -= free;
            }
        }
        surplus == 0
    }

    /// Takes a batch, or the last ones one by one: the first is for the one who asks.
    fn set_aside(&self, slot: usize, batch: usize, most: usize) -> bool {
        [batch, 1].into_iter().any(|size| {
            let more = |taken: usize| (taken + size <= most).then_some(taken + size);
            let set_aside = self
                .taken
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
                .is_ok();
            if set_aside {
                self.each[slot].free.fetch_add(size - 1, Ordering::Relaxed);
            }
            set_aside
        })
    }

    /// One that another worker has set aside.
    fn take_any(&self) -> bool {
        self.each.iter().any(|slot| slot.take(1))
    }
}

impl Slot {
    fn take(&self, count: usize) -> bool {
        // Looked at first: a slot that has none stays unwritten.
        self.free.load(Ordering::Relaxed) >= count
            && self
                .free
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                    free.checked_sub(count)
                })
                .is_ok()
    }
}

impl Pace {
    fn look(&mut self, ended: u64, now: Instant) -> Option<f64> {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= MIN_LOOK {
            self.rate = Some((ended - self.ended) as f64 / elapsed.as_secs_f64());
            self.ended = ended;
            self.since = now;
        }
        self.rate
    }
}

/// By Little's law; one second where nothing is known yet.
fn seconds_for(under_way: usize, rate: Option<f64>) -> u64 {
    let Some(rate) = rate else {
        return 1;
    };
    let seconds = (under_way as f64 / rate).ceil();
    // Nothing ends: that is infinite.
    if seconds < LONGEST_WAIT as f64 {
        (seconds as u64).max(1)
    } else {
        LONGEST_WAIT
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let slot = &self.slots.each[self.slot];
        slot.ended.fetch_add(1, Ordering::Relaxed);
        let free = slot.free.fetch_add(1, Ordering::Relaxed) + 1;
        // A worker that has more than it needs gives a batch back.
        if free >= 2 * self.batch && slot.take(self.batch) || self.batch == 1 && slot.take(1) {
            self.slots.taken.fetch_sub(self.batch, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_places_can_be_taken_by_one_worker_or_by_several_and_no_more() {
        for (workers, most) in [(1, 10), (2, 10), (3, 10), (70, 10), (3, 5_000), (8, 50_000)] {
            let load = Load::default();
            for _ in 0..3 {
                let places: Vec<_> = (0..most)
                    .map(|number| load.enter(number % workers, most).unwrap())
                    .collect();
                for worker in 0..workers {
                    assert!(load.enter(worker, most).is_err(), "{worker} of {workers}");
                }
                assert_eq!(load.under_way(), most);
                drop(places);
                assert_eq!(load.under_way(), 0);
                // What the others have set aside does not keep the first from taking all.
                let places: Vec<_> = (0..most).map(|_| load.enter(0, most).unwrap()).collect();
                assert!(load.enter(workers - 1, most).is_err());
                drop(places);
            }
        }
    }

    #[test]
    fn a_lower_bound_holds_at_once_whatever_was_set_aside_under_the_one_before() {
        for (before, most) in [(50_000, 10), (50_000, 1_000), (300, 299), (5_000, 0)] {
            let load = Load::default();
            let under_way: Vec<_> = (0..300)
                .map(|number| load.enter(number % 8, before).unwrap())
                .collect();
            if most < 300 {
                assert!(load.enter(0, most).is_err(), "more are under way");
            }
            drop(under_way);
            for _ in 0..2 {
                let places: Vec<_> = (0..2_000)
                    .filter_map(|number| load.enter(number % 8, most).ok())
                    .collect();
                assert_eq!(
                    (places.len(), load.under_way()),
                    (most, most),
                    "of {before}"
                );
            }
            assert_eq!(load.under_way(), 0);
        }
    }

    #[test]
    fn workers_that_come_and_go_together_never_exceed_the_bound() {
        let load = Load::default();
        let (most, now, highest) = (100, AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (load, now, highest) = (&load, &now, &highest);
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for turn in 0..20_000_usize {
                        if let Ok(place) = load.enter(worker, most) {
                            highest.fetch_max(
                                now.fetch_add(1, Ordering::SeqCst) + 1,
                                Ordering::SeqCst,
                            );
                            held.push(place);
                        }
                        if turn % 3 == 0 || held.len() > 60 {
                            now.fetch_sub(held.len().min(1), Ordering::SeqCst);
                            held.pop();
                        }
                    }
                    now.fetch_sub(held.len(), Ordering::SeqCst);
                });
            }
        });
        assert!(highest.load(Ordering::SeqCst) <= most);
        assert_eq!(load.under_way(), 0);
    }

    #[test]
    fn who_is_sent_away_is_told_when_there_will_be_room() {
        assert_eq!(seconds_for(1000, None), 1);
        assert_eq!(seconds_for(1000, Some(5000.0)), 1);
        assert_eq!(seconds_for(1000, Some(100.0)), 10);
        assert_eq!(seconds_for(1000, Some(1.0)), LONGEST_WAIT);
        assert_eq!(seconds_for(1000, Some(0.0)), LONGEST_WAIT);
        let start = Instant::now();
        let mut pace = Pace {
            since: start,
            ended: 0,
            rate: None,
        };
        assert_eq!(pace.look(500, start), None, "too short to tell");
        assert_eq!(pace.look(500, start + Duration::from_secs(5)), Some(100.0));
        let soon = start + Duration::from_millis(5_100);
        assert_eq!(pace.look(501, soon), Some(100.0), "the pace of before");
    }
}
