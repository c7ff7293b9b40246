//! What is kept in memory of the bank, and how every replica learns that it is no longer true.
//!
//! The bank's revision lies in the database and rises in every transaction that changes what players
//! may see: an event's, an import's, a replay's. Each replica follows it ([`follow`]), whichever
//! replica's consumer made the change. An entry carries the revision that was known *before* it was
//! read, and counts only while that one is still the known one. So
//!
//! - a change empties the whole cache with one store, and nothing has to be found and removed;
//! - whoever began to read before a change and puts the result in after it has put in an entry that
//!   nobody takes;
//! - an entry is as old as the last look at the revision ([`LOOK_EVERY`]), and never older than
//!   [`FRESH_FOR`], even when the database cannot be asked.
//!
//! Edits are rare and reads are not: a finer bookkeeping would save nothing that can be measured.

mod follow;
mod weight;

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use contracts::http::{CategoryCount, TagCount};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use quick_cache::Weighter;
use tokio::time::Instant;
use uuid::Uuid;

pub use follow::{LOOK_EVERY, follow};
pub use weight::Weight;

use crate::domain::{Filter, Pool, Question};

/// No entry is taken that is older, whatever the revision says: the bound for a replica that cannot
/// ask its database while others can.
pub const FRESH_FOR: Duration = Duration::from_secs(10);

/// Bytes of questions, mostly 1 KiB each: more than a bank has.
const QUESTIONS: u64 = 32 * MIB;

/// Bytes of pages of lists, mostly 20 KiB each, but up to 0.6 MiB: those that many clients ask for.
const PAGES: u64 = 32 * MIB;

/// Bytes of the ids of pools, 160 KiB each for 10,000 questions.
const POOLS: u64 = 16 * MIB;

/// Bytes of an answer that there is one of.
const COUNTS: u64 = MIB;

const MIB: u64 = 1024 * 1024;

/// What an entry takes beside its value: the key, a search in it, and its place.
const ENTRY: usize = 1024;

/// An entry as a guess for the number of entries: the cache divides its room by it, so that an entry
/// far above it still fits into a part.
const TYPICAL: u64 = 64 * 1024;

/// A page of a list and the cursor of the next one.
pub type Page = (Vec<Question>, Option<String>);

/// What is kept, by kind. Clones share it.
#[derive(Clone)]
pub struct Cache {
    revision: Revision,
    invalidations: Counter,
    counters: Counters,
    /// Questions by id.
    pub questions: Shelf<Uuid, Question>,
    /// Pages by filter.
    pub pages: Shelf<Filter, Page>,
    /// The ids of pools.
    pub pools: Shelf<Pool, Vec<Uuid>>,
    /// Counts by category.
    pub categories: Shelf<(), Vec<CategoryCount>>,
    /// Counts by tag.
    pub tags: Shelf<(), Vec<TagCount>>,
}

impl Default for Cache {
    fn default() -> Self {
        let (revision, counters) = (Revision::default(), Counters::default());
        Self {
            questions: Shelf::new("question", QUESTIONS, &revision, &counters),
            pages: Shelf::new("page", PAGES, &revision, &counters),
            pools: Shelf::new("pool", POOLS, &revision, &counters),
            categories: Shelf::new("categories", COUNTS, &revision, &counters),
            tags: Shelf::new("tags", COUNTS, &revision, &counters),
            invalidations: Counter::default(),
            revision,
            counters,
        }
    }
}

impl Cache {
    /// Learns the revision as it is in the database.
    pub fn saw(&self, revision: i64) {
        if self.revision.saw(revision) {
            self.invalidations.inc();
        }
    }

    /// Adds its counters to the service's metrics.
    pub fn register(&self, registry: &mut Registry) {
        let Counters { hits, misses } = self.counters.clone();
        registry.register("bank_cache_hits", "Reads answered from memory", hits);
        registry.register("bank_cache_misses", "Reads that asked the database", misses);
        let invalidations = self.invalidations.clone();
        registry.register(
            "bank_cache_invalidations",
            "Changes of the bank that emptied the cache",
            invalidations,
        );
    }
}

/// The bank's revision, as far as this replica knows.
#[derive(Clone, Debug, Default)]
struct Revision(Arc<AtomicI64>);

impl Revision {
    /// Before the first look. The database begins with 1.
    const UNKNOWN: i64 = 0;

    fn known(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    /// Whether that is news.
    fn saw(&self, revision: i64) -> bool {
        self.0.swap(revision, Ordering::AcqRel) != revision
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Default)]
struct Counters {
    hits: Family<Kind, Counter>,
    misses: Family<Kind, Counter>,
}

/// Things of one kind, by key, bounded in bytes. The least useful ones make room (S3-FIFO).
pub struct Shelf<K, V> {
    entries: Arc<quick_cache::sync::Cache<K, Entry<V>, ByBytes>>,
    revision: Revision,
    hits: Counter,
    misses: Counter,
}

impl<K, V> Clone for Shelf<K, V> {
    fn clone(&self) -> Self {
        Self {
            entries: Arc::clone(&self.entries),
            revision: self.revision.clone(),
            hits: self.hits.clone(),
            misses: self.misses.clone(),
        }
    }
}

struct Entry<V> {
    value: Arc<V>,
    /// Known before the value was read.
    revision: i64,
    read_at: Instant,
    bytes: u64,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            ..*self
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct ByBytes;

impl<K, V> Weighter<K, Entry<V>> for ByBytes {
    fn weight(&self, _key: &K, entry: &Entry<V>) -> u64 {
        entry.bytes
    }
}

impl<K: Eq + Hash + Clone, V: Weight> Shelf<K, V> {
    fn new(kind: &'static str, bytes: u64, revision: &Revision, counters: &Counters) -> Self {
        let kind = Kind { kind };
        let typical = usize::try_from(bytes / TYPICAL).unwrap_or(1);
        let entries = quick_cache::sync::Cache::with_weighter(typical, bytes, ByBytes);
        Self {
            entries: Arc::new(entries),
            revision: revision.clone(),
            hits: counters.hits.get_or_create_owned(&kind),
            misses: counters.misses.get_or_create_owned(&kind),
        }
    }

    /// What is kept under the key, if that still counts; else what `load` gives, which is kept then.
    /// Where `load` finds nothing, nothing is kept: keys that do not exist are endless.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn read<E>(
        &self,
        key: &K,
        load: impl Future<Output = Result<Option<V>, E>>,
    ) -> Result<Option<Arc<V>>, E> {
        let revision = self.revision.known();
        let kept = self
            .entries
            .get(key)
            .filter(|entry| entry.revision == revision && entry.read_at.elapsed() < FRESH_FOR);
        if let Some(entry) = kept {
            self.hits.inc();
            return Ok(Some(entry.value));
        }
        self.misses.inc();
        let read_at = Instant::now();
        let Some(value) = load.await?.map(Arc::new) else {
            return Ok(None);
        };
        let entry = Entry {
            bytes: u64::try_from(ENTRY + value.bytes()).unwrap_or(u64::MAX),
            value: Arc::clone(&value),
            revision,
            read_at,
        };
        if revision != Revision::UNKNOWN {
            self.entries.insert(key.clone(), entry);
        }
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible};

    use tokio::sync::oneshot;

    use super::*;
    use crate::domain::RawFilter;

    async fn tags(cache: &Cache, in_database: i64) -> i64 {
        let row = TagCount {
            tag: "io".to_owned(),
            count: in_database,
        };
        let load = async { Ok::<_, Infallible>(Some(vec![row])) };
        let Ok(read) = cache.tags.read(&(), load).await;
        read.expect("something")[0].count
    }

    #[tokio::test]
    async fn what_was_read_is_kept_until_the_revision_rises() {
        let cache = Cache::default();
        cache.saw(1);
        assert_eq!(tags(&cache, 7).await, 7);
        assert_eq!(tags(&cache, 8).await, 7);
        cache.saw(1);
        assert_eq!(tags(&cache, 8).await, 7);
        cache.saw(2);
        assert_eq!(tags(&cache, 8).await, 8);
    }

    #[tokio::test]
    async fn whoever_began_before_a_change_and_fills_after_it_leaves_nothing_stale() {
        let cache = Cache::default();
        cache.saw(1);
        let (began, has_begun) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel();
        let slow = tokio::spawn({
            let cache = cache.clone();
            async move {
                let load = async {
                    began.send(()).expect("somebody listens");
                    may_go_on.await.expect("somebody says so");
                    Ok::<_, Infallible>(Some(Vec::<TagCount>::new()))
                };
                cache.tags.read(&(), load).await
            }
        });
        has_begun.await.expect("it begins");
        cache.saw(2);
        go_on.send(()).expect("it listens");
        let Ok(old) = slow.await.expect("no panic");
        assert_eq!(old.expect("something").len(), 0, "it has what it read");
        assert_eq!(tags(&cache, 8).await, 8, "and nobody else gets that");
    }

    #[tokio::test]
    async fn before_the_revision_is_known_nothing_is_kept() {
        let cache = Cache::default();
        assert_eq!(tags(&cache, 7).await, 7);
        assert_eq!(tags(&cache, 8).await, 8);
        cache.saw(1);
        assert_eq!(tags(&cache, 9).await, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_taken_that_is_older_than_the_bound() {
        let cache = Cache::default();
        cache.saw(1);
        assert_eq!(tags(&cache, 7).await, 7);
        tokio::time::advance(FRESH_FOR - Duration::from_millis(1)).await;
        assert_eq!(tags(&cache, 8).await, 7);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(tags(&cache, 8).await, 8);
    }

    #[tokio::test]
    async fn what_does_not_exist_is_asked_for_each_time_and_takes_no_room() {
        let cache = Cache::default();
        cache.saw(1);
        let asked = Cell::new(0);
        for _ in 0..2 {
            let load = async {
                asked.set(asked.get() + 1);
                Ok::<_, Infallible>(None)
            };
            let Ok(none) = cache.questions.read(&Uuid::nil(), load).await;
            assert_eq!(none, None);
        }
        assert_eq!(asked.get(), 2);
    }

    #[tokio::test]
    async fn large_pages_make_room_for_one_another() {
        let cache = Cache::default();
        cache.saw(1);
        let text = "x".repeat(100 * 1024);
        for number in 0..1_000 {
            let filter = Filter {
                limit: number,
                ..Filter::parse(&RawFilter::default()).expect("it is valid")
            };
            let load = async { Ok::<_, Infallible>(Some((Vec::new(), Some(text.clone())))) };
            let Ok(page) = cache.pages.read(&filter, load).await;
            page.expect("a page");
        }
        let (kept, pages) = (cache.pages.entries.weight(), cache.pages.entries.len());
        assert!(kept <= PAGES, "{kept}");
        assert!(pages > 100, "{pages}");
    }

    #[tokio::test]
    async fn hits_misses_and_invalidations_are_counted() {
        let (cache, metrics) = (Cache::default(), chassis::Metrics::new());
        metrics.register(|registry| cache.register(registry));
        cache.saw(1);
        tags(&cache, 7).await;
        tags(&cache, 7).await;
        cache.saw(2);
        tags(&cache, 7).await;
        let text = metrics.encode().expect("a text");
        for line in [
            "bank_cache_hits_total{kind=\"tags\"} 1",
            "bank_cache_misses_total{kind=\"tags\"} 2",
            "bank_cache_invalidations_total 2",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
