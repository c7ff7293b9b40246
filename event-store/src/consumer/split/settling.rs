//! How many parts a consumer has: what is in force, and how it becomes another number.
//!
//! A process that comes with another number takes over once no replica with the number in force holds a
//! lease. So a rolling deployment goes on under the old number until the last of its replicas has ended,
//! a replica that is left behind stands still, and two numbers never take turns. Where there are no
//! leases (SQLite, [`Replicas::Race`](super::super::Replicas::Race)) the newest start decides, once.

use database::{Database, Dialect, Error, Sql, Tx, params};
use faults::Write;
use uuid::Uuid;

use super::{Part, count, hold_all, names, part_of, said, stored};
use crate::consumer::{
    beside::second_of,
    checkpoint::{CONTROL, Checkpoint, Place},
    standby::{lease_of, place_among},
};

/// Whether whoever looks may put its own number in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consumer) enum Change {
    /// Not this one.
    Never,
    /// When no replica with the number in force lives.
    OnceFree,
    /// At once.
    Now,
}

/// What came of it.
pub(in crate::consumer) enum Settled {
    /// Its number is in force, and its part has a checkpoint.
    Here,
    /// Another number is in force.
    Elsewhere(Elsewhere),
    /// There should be checkpoints, and some are gone; the text says what to do.
    Gone(String),
    /// Somebody settled it at the same time: look again.
    Again,
}

/// Another number of parts is in force.
#[derive(Debug)]
pub(in crate::consumer) struct Elsewhere {
    /// Which, and what has to happen.
    pub(in crate::consumer) reason: String,
    /// What all parts in force have passed.
    pub(in crate::consumer) lowest: Option<Place>,
}

/// For a part without a checkpoint: begins the consumer, or takes over from another number of parts.
pub(in crate::consumer) async fn settle(
    database: &Database,
    part: Part,
    epoch: Uuid,
    change: Change,
) -> Result<Settled, Error> {
    let in_force = match said(database, part.consumer).await? {
        Some(in_force) => in_force,
        None if stored(database, part.consumer, 1).await?.is_empty() => part.of,
        None => 1,
    };
    if in_force != part.of {
        // Without locks: it is looked at over and over while others work.
        let kept = kept_by(database, part, in_force, change).await?;
        if let Some(reason) = kept {
            let old = stored(database, part.consumer, in_force).await?;
            let lowest = old.iter().map(|(_, checkpoint)| checkpoint.place());
            let lowest = lowest.min_by_key(|(_, position)| *position);
            return Ok(Settled::Elsewhere(Elsewhere { reason, lowest }));
        }
    }
    let mut tx = database.begin().await?;
    if held(&mut tx, part).await? != in_force {
        return Ok(Settled::Again);
    }
    let settled = if in_force == part.of {
        begin(&mut tx, part, epoch).await?
    } else {
        take_over(&mut tx, part, in_force).await?
    };
    if matches!(settled, Settled::Here) {
        faults::before(Write::ConsumerBegin);
        tx.commit().await?;
        faults::after(Write::ConsumerBegin);
    }
    Ok(settled)
}

/// Why the number in force stays, if it does.
async fn kept_by(
    database: &Database,
    part: Part,
    in_force: u32,
    change: Change,
) -> Result<Option<String>, Error> {
    let Part { consumer, of, .. } = part;
    let says = |why: &str| {
        Some(format!(
            "the consumer has {in_force} parts, and this process is made for {of}: {why}"
        ))
    };
    if in_force == 1 {
        let sql = "SELECT position FROM consumer_checkpoints WHERE consumer = $1";
        let second: Option<(i64,)> = database
            .fetch_optional(sql, params![second_of(consumer)])
            .await?;
        if second.is_some() {
            return Ok(says(
                "a second copy of it is being built, and is not split with it: banyan consumers \
                 abandon it first",
            ));
        }
    }
    Ok(match change {
        Change::Now => None,
        Change::Never => says("it stands still; start it again to change the number"),
        Change::OnceFree if is_kept(database, consumer, in_force).await? => {
            says("it takes over once the last replica with the other number has ended")
        }
        Change::OnceFree => None,
    })
}

/// Whether a replica with this number lives.
async fn is_kept(database: &Database, consumer: &str, of: u32) -> Result<bool, Error> {
    if database.dialect() == Dialect::Sqlite {
        return Ok(false);
    }
    let leases: Vec<String> = names(consumer, of)
        .iter()
        .map(|name| lease_of(name))
        .collect();
    let sql = "SELECT COUNT(*) FROM leases
               WHERE (name = ANY($1) OR starts_with(name, $2)) AND expires_at >= clock_timestamp()";
    let values = params![leases, place_among(consumer, of)];
    let (kept,): (i64,) = database.fetch_one(sql, values).await?;
    Ok(kept > 0)
}

/// The number in force, which stays until the transaction ends; ours for a consumer that is new.
async fn held(tx: &mut Tx, part: Part) -> Result<u32, Error> {
    let sql = "INSERT INTO consumer_splits (consumer, parts)
               VALUES ($1, CASE WHEN EXISTS (SELECT 1 FROM consumer_checkpoints WHERE consumer = $1)
                                THEN 1 ELSE $2 END)
               ON CONFLICT (consumer) DO UPDATE SET parts = consumer_splits.parts RETURNING parts";
    let values = params![part.consumer, part.of];
    let (parts,): (i64,) = tx.fetch_one(sql, values).await?;
    Ok(count(parts))
}

/// Makes the checkpoints of a new consumer, at the log's beginning.
async fn begin(tx: &mut Tx, part: Part, epoch: Uuid) -> Result<Settled, Error> {
    let names = names(part.consumer, part.of);
    let there = hold_all(tx, &names).await?;
    if there.len() == names.len() {
        return Ok(Settled::Here);
    }
    let sql = "SELECT COUNT(*) FROM consumer_former_parts WHERE consumer = $1";
    let (former,): (i64,) = tx.fetch_one(sql, params![part.consumer]).await?;
    if former > 0 || !there.is_empty() {
        return Ok(gone(part.consumer));
    }
    let first = Checkpoint {
        epoch,
        position: 0,
        paused: false,
        edition: 0,
    };
    write(tx, names, first).await?;
    Ok(Settled::Here)
}

/// Makes the checkpoints of our number out of those in force. A crash leaves the one or the other.
async fn take_over(tx: &mut Tx, part: Part, from: u32) -> Result<Settled, Error> {
    let Part { consumer, of, .. } = part;
    let old_names = names(consumer, from);
    // Waits for whoever is handling; the claims of all that come later find no row.
    let old = hold_all(tx, &old_names).await?;
    let lowest = old.iter().min_by_key(|(_, old)| old.position);
    let Some((_, lowest)) = lowest.filter(|_| old.len() == old_names.len()) else {
        return Ok(gone(consumer));
    };
    let edition = old.iter().map(|(_, old)| old.edition).max().unwrap_or(0);
    let first = Checkpoint {
        epoch: lowest.epoch,
        position: lowest.position,
        // What an operator stopped stays so, whatever it is cut into.
        paused: old.iter().any(|(_, old)| old.paused),
        edition: edition + 1,
    };
    let numbered = (1..=from).zip(&old_names);
    let former = numbered.filter_map(|(number, name)| {
        let (_, old) = old.iter().find(|(old, _)| old == name)?;
        Some(params![consumer, edition, number, from, old.position])
    });
    tx.execute_each(
        "INSERT INTO consumer_former_parts (consumer, edition, part, parts, position)
         VALUES ($1, $2, $3, $4, $5)",
        former.collect(),
    )
    .await?;
    let gone = old_names.iter().map(|name| params![name]);
    let sql = "DELETE FROM consumer_checkpoints WHERE consumer = $1";
    tx.execute_each(sql, gone.collect()).await?;
    let sql = "UPDATE consumer_splits SET parts = $2 WHERE consumer = $1";
    tx.execute(sql, params![consumer, of]).await?;
    write(tx, names(consumer, of), first).await?;
    hand_over_parked(tx, consumer, &old_names, of).await?;
    tx.signal(CONTROL);
    tracing::warn!(
        consumer,
        from,
        to = of,
        position = first.position,
        "the consumer's number of parts is changed"
    );
    Ok(Settled::Here)
}

async fn write(tx: &mut Tx, names: Vec<String>, at: Checkpoint) -> Result<(), Error> {
    let now = tx.now().await?;
    let Checkpoint {
        epoch,
        position,
        paused,
        edition,
    } = at;
    let paused = database::Value::Boolean(Some(paused));
    let rows = names
        .into_iter()
        .map(|name| params![name, epoch, position, paused.clone(), edition, now]);
    tx.execute_each(
        "INSERT INTO consumer_checkpoints (consumer, epoch, position, paused, edition, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        rows.collect(),
    )
    .await?;
    Ok(())
}

/// Gives parked events to the parts that their streams belong to now.
async fn hand_over_parked(
    tx: &mut Tx,
    consumer: &str,
    old: &[String],
    of: u32,
) -> Result<(), Error> {
    let sql = Sql::by_dialect(
        "SELECT DISTINCT consumer, stream FROM parked_events WHERE consumer = ANY($1)",
        "SELECT DISTINCT consumer, stream FROM parked_events
         WHERE consumer IN (SELECT value FROM json_each($1))",
    );
    let parked: Vec<(String, String)> = tx.fetch_all(sql, params![old.to_vec()]).await?;
    let moves = parked.into_iter().map(|(from, stream)| {
        let to = super::name(consumer, part_of(&stream, of), of);
        params![from, stream, to]
    });
    let sql = "UPDATE parked_events SET consumer = $3 WHERE consumer = $1 AND stream = $2";
    tx.execute_each(sql, moves.collect()).await?;
    Ok(())
}

/// The consumer has begun, and does not begin again by itself.
fn gone(consumer: &str) -> Settled {
    Settled::Gone(format!(
        "checkpoints of its parts are gone, and it does not begin anew by itself: restore the \
         service's database, or build a projection anew: banyan consumers replay {consumer}"
    ))
}
