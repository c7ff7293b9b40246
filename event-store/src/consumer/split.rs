//! A consumer that is split by streams: N parts, `NAME.1ofN` … `NAME.NofN`, each with a checkpoint, a
//! lease and parked events of its own. A part handles the streams that hash to it and passes over the
//! others as over foreign types. A consumer that is not split is one part, which bears its name.
//!
//! Invariants:
//! - An event is handled exactly if its position is at or below the checkpoint of the part that its
//!   stream belongs to, or at or below what a former part ([`Before`]) to which it belonged had reached
//!   when the number changed. So the new parts begin at the lowest checkpoint of the old ones, and what
//!   was handled beyond is passed over.
//! - The number in force is `consumer_splits.parts`, and there are checkpoints of that number's parts
//!   and of no others: a change of number is one transaction ([`settling`]). Whoever still has another
//!   number finds no checkpoint to claim.
//! - A part's `edition` rises with each change of what its former parts say, and a claim compares it:
//!   nobody handles by what was so before.
//! - All parts, and what is known of the former ones, belong to one epoch: adopting and replaying move
//!   all of them in one transaction.

mod settling;

use contracts::Recorded;
use database::{Database, Error, Sql, Tx, params};
use uuid::Uuid;

pub(super) use settling::{Change, Elsewhere, Settled, settle};

use super::checkpoint::Checkpoint;

/// One of the parts of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) consumer: &'static str,
    /// From 1.
    pub(super) number: u32,
    pub(super) of: u32,
}

impl Part {
    pub(super) fn name(&self) -> String {
        name(self.consumer, self.number, self.of)
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.of == 1
    }

    /// Whether the stream is its to handle.
    pub(super) fn has(&self, stream: &str) -> bool {
        part_of(stream, self.of) == self.number
    }
}

fn name(consumer: &str, number: u32, of: u32) -> String {
    if of == 1 {
        consumer.to_owned()
    } else {
        format!("{consumer}.{number}of{of}")
    }
}

/// The names of all parts, in the order of their numbers.
pub(super) fn names(consumer: &str, of: u32) -> Vec<String> {
    (1..=of).map(|number| name(consumer, number, of)).collect()
}

/// Which of so many parts a stream belongs to: `murmur3_x86_32` of its name, seed 0. The same for ever,
/// since checkpoints say what is handled by it.
pub(super) fn part_of(stream: &str, of: u32) -> u32 {
    if of == 1 {
        return 1;
    }
    // Reading from memory cannot fail.
    murmur3::murmur3_32(&mut stream.as_bytes(), 0).unwrap_or_default() % of + 1
}

/// What former parts had handled, as far as it lies above a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Before {
    former: Vec<Former>,
    highest: i64,
}

#[derive(Debug)]
struct Former {
    number: u32,
    of: u32,
    position: i64,
}

impl Before {
    /// What is known of the consumer's former parts above a position.
    pub(super) async fn above(
        database: &Database,
        consumer: &str,
        position: i64,
    ) -> Result<Self, Error> {
        let sql = "SELECT part, parts, position FROM consumer_former_parts
                   WHERE consumer = $1 AND position > $2";
        let values = params![consumer, position];
        let rows: Vec<(i64, i64, i64)> = database.fetch_all(sql, values).await?;
        let former: Vec<Former> = rows
            .into_iter()
            .map(|(number, of, position)| Former {
                number: count(number),
                of: count(of),
                position,
            })
            .collect();
        let highest = former.iter().map(|former| former.position).max();
        Ok(Self {
            highest: highest.unwrap_or(0),
            former,
        })
    }

    /// Whether a former part has handled the event, or parked it.
    pub(super) fn has(&self, event: &Recorded) -> bool {
        event.position <= self.highest
            && self.former.iter().any(|former| {
                event.position <= former.position
                    && part_of(&event.event.stream, former.of) == former.number
            })
    }
}

/// A number of parts as the database has it.
fn count(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(1).max(1)
}

/// How many parts the consumer has, where that was ever said.
async fn said(database: &Database, consumer: &str) -> Result<Option<u32>, Error> {
    let sql = "SELECT parts FROM consumer_splits WHERE consumer = $1";
    let row: Option<(i64,)> = database.fetch_optional(sql, params![consumer]).await?;
    Ok(row.map(|(parts,)| count(parts)))
}

type Row = (String, Uuid, i64, bool, i64);

fn checkpoints(rows: Vec<Row>) -> Vec<(String, Checkpoint)> {
    rows.into_iter()
        .map(|(consumer, epoch, position, paused, edition)| {
            let checkpoint = Checkpoint {
                epoch,
                position,
                paused,
                edition,
            };
            (consumer, checkpoint)
        })
        .collect()
}

/// The checkpoints of the parts in force; none while their number is being changed, or before the
/// consumer has begun.
pub(super) async fn in_force(
    database: &Database,
    consumer: &str,
) -> Result<Vec<(String, Checkpoint)>, Error> {
    let of = said(database, consumer).await?.unwrap_or(1);
    let found = stored(database, consumer, of).await?;
    let is_whole = found.len() == names(consumer, of).len();
    Ok(if is_whole { found } else { Vec::new() })
}

/// The checkpoints of those of so many parts that have one.
async fn stored(
    database: &Database,
    consumer: &str,
    of: u32,
) -> Result<Vec<(String, Checkpoint)>, Error> {
    let sql = Sql::by_dialect(
        "SELECT consumer, epoch, position, paused, edition FROM consumer_checkpoints
         WHERE consumer = ANY($1) ORDER BY consumer",
        "SELECT consumer, epoch, position, paused, edition FROM consumer_checkpoints
         WHERE consumer IN (SELECT value FROM json_each($1)) ORDER BY consumer",
    );
    let values = params![names(consumer, of)];
    Ok(checkpoints(database.fetch_all(sql, values).await?))
}

/// The names of the parts in force, whose number stays what it is until the transaction ends.
pub(super) async fn hold_number(tx: &mut Tx, consumer: &str) -> Result<Vec<String>, Error> {
    let sql = "UPDATE consumer_splits SET parts = parts WHERE consumer = $1 RETURNING parts";
    let row: Option<(i64,)> = tx.fetch_optional(sql, params![consumer]).await?;
    Ok(names(consumer, row.map_or(1, |(parts,)| count(parts))))
}

/// The checkpoints of these parts, held still until the transaction ends. Whoever takes several took
/// their number first, so no two wait for each other.
pub(super) async fn hold_all(
    tx: &mut Tx,
    names: &[String],
) -> Result<Vec<(String, Checkpoint)>, Error> {
    let sql = Sql::by_dialect(
        "UPDATE consumer_checkpoints SET position = position WHERE consumer = ANY($1)
         RETURNING consumer, epoch, position, paused, edition",
        "UPDATE consumer_checkpoints SET position = position
         WHERE consumer IN (SELECT value FROM json_each($1))
         RETURNING consumer, epoch, position, paused, edition",
    );
    let rows: Vec<Row> = tx.fetch_all(sql, params![names.to_vec()]).await?;
    Ok(checkpoints(rows))
}

/// From now on former parts have handled nothing above the position.
pub(super) async fn forget_above(tx: &mut Tx, consumer: &str, position: i64) -> Result<(), Error> {
    // The rows stay: the log still hears of the former parts by them.
    let sql =
        "UPDATE consumer_former_parts SET position = $2 WHERE consumer = $1 AND position > $2";
    tx.execute(sql, params![consumer, position]).await?;
    Ok(())
}

/// What former parts had reached at most.
pub(super) async fn furthest(database: &Database, consumer: &str) -> Result<i64, Error> {
    let sql = "SELECT COALESCE(MAX(position), 0) FROM consumer_former_parts WHERE consumer = $1";
    let (furthest,): (i64,) = database.fetch_one(sql, params![consumer]).await?;
    Ok(furthest)
}

/// The names of former parts, each with its consumer.
pub(super) async fn former(database: &Database) -> Result<Vec<(String, String)>, Error> {
    let sql = "SELECT DISTINCT consumer, part, parts FROM consumer_former_parts";
    let rows: Vec<(String, i64, i64)> = database.fetch_all(sql, params![]).await?;
    let named = |(consumer, part, parts): (String, i64, i64)| {
        (name(&consumer, count(part), count(parts)), consumer)
    };
    Ok(rows.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_belongs_to_the_same_part_for_ever() {
        // The gateway's vectors of the same hash: 0xfdd86565 and 0x60397057.
        for (stream, hash) in [
            ("quiz-cutover:user-7", 0xfdd8_6565_u32),
            ("quiz-cutover:user-1", 0x6039_7057),
        ] {
            for of in 2..9 {
                assert_eq!(part_of(stream, of), hash % of + 1);
            }
            assert_eq!(part_of(stream, 1), 1);
        }
    }

    #[test]
    fn each_stream_has_one_part_and_each_part_has_streams() {
        for of in 1..=5 {
            let mut streams = [0; 5];
            for stream in 0..500 {
                let stream = format!("player-{stream}");
                let parts = (1..=of).map(|number| Part {
                    consumer: "x",
                    number,
                    of,
                });
                let mut having = parts.filter(|part| part.has(&stream));
                let part = having.next().expect("a part");
                assert_eq!(having.next(), None);
                streams[usize::try_from(part.number - 1).expect("a number")] += 1;
            }
            let used = streams.iter().filter(|count| **count > 40).count();
            assert_eq!(u32::try_from(used), Ok(of));
        }
    }
}
