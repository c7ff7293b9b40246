//! Which log this is. A log that was restored from a backup may lack events that others have seen,
//! so an operator gives it a new identity; where it parted from the old one is written down, and
//! decides who may go on from where.

use database::{Database, Error, Sql, Timestamp, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Head, read};

/// Restores that are followed back when two identities are compared; a longer chain is a fault.
const MAX_EPOCHS: usize = 1_000;

/// The beginning of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Epoch {
    /// The identity.
    pub epoch: Uuid,
    /// The one before it.
    pub predecessor: Uuid,
    /// The newest position that both have; what the predecessor had beyond it is gone.
    pub position: i64,
    /// Why, in the operator's words.
    pub reason: String,
    /// Who said so.
    pub actor: String,
    /// When.
    pub began_at: Timestamp,
}

/// Gives the log a new identity from its head on, in one transaction. The publisher's cursor goes
/// along, since it lies in the same database and so at or below the head; the publisher that runs
/// loses its lease, so that it cannot write the old identity back. No backup of the new identity
/// exists yet, so outboxes keep everything until one does.
pub(super) async fn begin(database: &Database, reason: &str, actor: &str) -> Result<Epoch, Error> {
    let mut tx = database.begin().await?;
    let sql = Sql::by_dialect(
        "SELECT epoch, head FROM log_head FOR UPDATE",
        "SELECT epoch, head FROM log_head",
    );
    let (predecessor, position): (Uuid, i64) = tx.fetch_one(sql, Vec::new()).await?;
    let epoch = Epoch {
        epoch: Uuid::new_v4(),
        predecessor,
        position,
        reason: reason.to_owned(),
        actor: actor.to_owned(),
        began_at: tx.now().await?,
    };
    tx.execute(
        "INSERT INTO log_epochs (epoch, predecessor, position, reason, actor, began_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        params![
            epoch.epoch,
            predecessor,
            position,
            reason,
            actor,
            epoch.began_at
        ],
    )
    .await?;
    tx.execute(
        "UPDATE log_head SET epoch = $1, backed_up_to = 0",
        params![epoch.epoch],
    )
    .await?;
    tx.execute(
        "UPDATE publisher_cursors
         SET epoch = $1, position = CASE WHEN position > $2 THEN $2 ELSE position END
         WHERE epoch = $3",
        params![epoch.epoch, position, predecessor],
    )
    .await?;
    tx.execute(
        "UPDATE leases SET token = token + 1 WHERE name = 'publisher'",
        Vec::new(),
    )
    .await?;
    tx.commit().await?;
    Ok(epoch)
}

/// All identities after the first, the newest first.
pub(super) async fn list(database: &Database) -> Result<Vec<Epoch>, Error> {
    type Row = (Uuid, Uuid, i64, String, String, Timestamp);
    let rows: Vec<Row> = database
        .fetch_all(
            "SELECT epoch, predecessor, position, reason, actor, began_at
             FROM log_epochs ORDER BY began_at DESC LIMIT $1",
            params![i64::try_from(MAX_EPOCHS).unwrap_or(i64::MAX)],
        )
        .await?;
    let epoch = |(epoch, predecessor, position, reason, actor, began_at)| Epoch {
        epoch,
        predecessor,
        position,
        reason,
        actor,
        began_at,
    };
    Ok(rows.into_iter().map(epoch).collect())
}

/// The newest position that the log has in common with what it was under `other`; none when it
/// never had that identity.
pub(super) async fn shared_with(database: &Database, other: Uuid) -> Result<Option<i64>, Error> {
    let head = read::head(database).await?;
    Ok(shared(&list(database).await?, head, other))
}

fn shared(epochs: &[Epoch], head: Head, other: Uuid) -> Option<i64> {
    let mut now = head;
    for _ in 0..=MAX_EPOCHS {
        if now.epoch == other {
            return Some(now.position);
        }
        let began = epochs.iter().find(|epoch| epoch.epoch == now.epoch)?;
        now = Head {
            epoch: began.predecessor,
            position: now.position.min(began.position),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn began(epoch: u128, predecessor: u128, position: i64) -> Epoch {
        Epoch {
            epoch: id(epoch),
            predecessor: id(predecessor),
            position,
            reason: String::new(),
            actor: String::new(),
            began_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn what_two_identities_share_ends_at_the_earliest_restore_between_them() {
        let epochs = [began(3, 2, 70), began(2, 1, 90)];
        let head = |epoch, position| Head {
            epoch: id(epoch),
            position,
        };
        assert_eq!(shared(&epochs, head(3, 80), id(3)), Some(80));
        assert_eq!(shared(&epochs, head(3, 80), id(2)), Some(70));
        assert_eq!(shared(&epochs, head(3, 80), id(1)), Some(70));
        let later = [began(3, 2, 95), began(2, 1, 90)];
        assert_eq!(shared(&later, head(3, 99), id(1)), Some(90));
        assert_eq!(shared(&epochs, head(3, 80), id(9)), None);
        assert_eq!(shared(&epochs, head(2, 80), id(3)), None);
    }
}
