//! Each replica's share of a split consumer's parts.
//!
//! The replicas that live stand in the order of their ids, and each is due as many parts as any other,
//! the first ones one more where it does not come out even: the shares are all parts, without any talk.
//! A replica keeps what it holds, up to its share, gives back what is more and takes what is free up to
//! it. While two see different replicas alive, a part may be free for as long as that lasts: until the
//! next look, or the end of a dead one's term, as with any lease.

use std::{collections::BTreeMap, sync::Arc};

use database::{Database, Error, params};
use uuid::Uuid;

use super::{Reader, lease_of};

/// What is held now, of parts and places.
const HELD: &str = "
    SELECT name, holder FROM leases
    WHERE expires_at >= clock_timestamp()
      AND (name = ANY($1) OR EXISTS (SELECT 1 FROM unnest($2::TEXT[]) AS places (prefix)
                                     WHERE starts_with(leases.name, places.prefix)))";

/// Replicas that died, or ended, long enough ago that nobody counts them any more.
const FORGET_DEAD: &str = "
    DELETE FROM leases
    WHERE expires_at < clock_timestamp() - INTERVAL '1 minute'
      AND EXISTS (SELECT 1 FROM unnest($1::TEXT[]) AS places (prefix)
                  WHERE starts_with(leases.name, places.prefix))
    RETURNING name";

/// A consumer whose parts replicas share.
pub(super) struct Shared {
    /// The leases of its parts.
    parts: Vec<String>,
    /// What the names of all replicas' places begin with.
    prefix: String,
    /// The lease that says that this replica lives.
    place: String,
}

/// What the names of the places of replicas begin with that have so many parts of the consumer.
pub(in crate::consumer) fn place_among(consumer: &str, of: u32) -> String {
    format!("place among {of} parts of {consumer} ")
}

impl Shared {
    /// One for each consumer that these are parts of.
    pub(super) fn of(readers: &[&Arc<Reader>], holder: Uuid) -> Vec<Self> {
        let mut shared: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for reader in readers {
            let of = reader.part.map_or(1, |part| part.of);
            let parts = shared
                .entry(place_among(reader.consumer(), of))
                .or_default();
            parts.push(lease_of(reader.name()));
        }
        shared
            .into_iter()
            .map(|(prefix, parts)| Self {
                place: format!("{prefix}{holder}"),
                parts,
                prefix,
            })
            .collect()
    }

    /// How many leases a replica holds that has all parts.
    pub(super) const fn leases(&self) -> usize {
        self.parts.len() + 1
    }

    /// All that it may hold.
    pub(super) fn all(&self) -> impl Iterator<Item = String> + '_ {
        self.parts.iter().chain([&self.place]).cloned()
    }

    /// What this replica asks for: its place, what it keeps, and what is free of the rest of its share.
    pub(super) fn share(&self, me: Uuid, held: &Held) -> Vec<String> {
        let mut alive: Vec<Uuid> = held
            .by
            .iter()
            .filter_map(|(name, holder)| {
                name.strip_prefix(&self.prefix)
                    .is_some_and(|id| Uuid::parse_str(id).is_ok())
                    .then_some(*holder)
            })
            .collect();
        alive.push(me);
        alive.sort_unstable();
        alive.dedup();
        let rank = alive.iter().position(|holder| *holder == me).unwrap_or(0);
        let (each, more) = (
            self.parts.len() / alive.len(),
            self.parts.len() % alive.len(),
        );
        let due = each + usize::from(rank < more);
        let (mine, others): (Vec<_>, Vec<_>) = self
            .parts
            .iter()
            .filter(|part| held.by.get(*part).is_none_or(|holder| *holder == me))
            .partition(|part| held.by.contains_key(*part));
        let mut asked = vec![self.place.clone()];
        asked.extend(mine.into_iter().chain(others).take(due).cloned());
        asked
    }
}

/// Who holds what.
#[derive(Default)]
pub(super) struct Held {
    by: BTreeMap<String, Uuid>,
}

impl Held {
    /// What `me` holds of parts and does not want.
    pub(super) fn spare(&self, me: Uuid, wanted: &[String]) -> Vec<String> {
        let mine = self.by.iter().filter(|(_, holder)| **holder == me);
        mine.map(|(name, _)| name)
            .filter(|name| !wanted.contains(name))
            .cloned()
            .collect()
    }
}

/// Looks who holds what of these.
pub(super) async fn held(database: &Database, shared: &[Shared]) -> Result<Held, Error> {
    if shared.is_empty() {
        return Ok(Held::default());
    }
    let parts: Vec<String> = shared.iter().flat_map(|one| one.parts.clone()).collect();
    let values = params![parts, prefixes(shared)];
    let rows: Vec<(String, Uuid)> = database.fetch_all(HELD, values).await?;
    let by = rows.into_iter().collect();
    Ok(Held { by })
}

/// Removes the places of those who died.
pub(super) async fn forget_dead(database: &Database, shared: &[Shared]) -> Result<(), Error> {
    if !shared.is_empty() {
        let values = params![prefixes(shared)];
        let _gone: Vec<(String,)> = database.fetch_all(FORGET_DEAD, values).await?;
    }
    Ok(())
}

fn prefixes(shared: &[Shared]) -> Vec<String> {
    shared.iter().map(|one| one.prefix.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many replicas, which look and take in turn until nothing changes.
    fn settled(parts: usize, replicas: &[Uuid], mut held: Held) -> Vec<usize> {
        let shared = |holder: &Uuid| Shared {
            parts: (0..parts).map(|part| format!("part {part}")).collect(),
            prefix: "place ".to_owned(),
            place: format!("place {holder}"),
        };
        for replica in replicas.iter().cycle().take(4 * replicas.len()) {
            let wanted = shared(replica).share(*replica, &held);
            let spare = held.spare(*replica, &wanted);
            held.by.retain(|name, _| !spare.contains(name));
            for name in wanted {
                held.by.entry(name).or_insert(*replica);
            }
        }
        let of = |replica: &Uuid| {
            held.by
                .iter()
                .filter(|(name, by)| name.starts_with("part") && *by == replica)
                .count()
        };
        let counts: Vec<usize> = replicas.iter().map(of).collect();
        assert_eq!(counts.iter().sum::<usize>(), parts, "none is left free");
        counts
    }

    #[test]
    fn the_shares_of_those_alive_are_all_parts_and_differ_by_one_at_most() {
        for parts in 1..9 {
            for replicas in 1..6 {
                let replicas: Vec<Uuid> = (0..replicas).map(|_| Uuid::new_v4()).collect();
                let counts = settled(parts, &replicas, Held::default());
                let (least, most) = (counts.iter().min(), counts.iter().max());
                assert!(most <= least.map(|least| least + 1).as_ref(), "{counts:?}");
            }
        }
    }

    #[test]
    fn whoever_has_more_than_its_share_gives_back_and_keeps_the_rest() {
        let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let by = (0..4)
            .map(|part| (format!("part {part}"), old))
            .chain([("place x".to_owned(), old)]);
        let held = Held { by: by.collect() };
        assert_eq!(settled(4, &[old, new], held), [2, 2]);
    }
}
