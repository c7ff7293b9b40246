//! After the log was restored: a consumer's checkpoint is carried over to the log's new identity,
//! where that is provably right.

use database::params;

use super::{
    Beyond, Consumers, Kind, OperatorError,
    checkpoint::{self, CONTROL, Checkpoint},
    split::{self, Change},
};

impl Consumers {
    /// Lets the consumer go on with a log that was restored from a backup. Its checkpoint must lie
    /// in what the log shares with the one that it belonged to; then nothing was skipped and
    /// nothing comes twice. One that fits already is left alone.
    ///
    /// # Errors
    /// [`OperatorError::NotAdoptable`]; the checkpoint stays as it was.
    pub async fn adopt(&self, name: &str, beyond: Beyond) -> Result<(), OperatorError> {
        let one = "all parts go over to the log together";
        let reader = self.whole(name, one, OperatorError::NotAdoptable)?;
        if reader.part.is_none() {
            let why = "a second copy adopts no log: abandon it and build another";
            return Err(OperatorError::NotBuiltBeside(format!("{name}: {why}")));
        }
        let head = self.log.head().await?;
        checkpoint::of(&self.database, reader, head.epoch, Change::Never).await?;
        let parts = split::in_force(&self.database, name).await?;
        let furthest = split::furthest(&self.database, name).await?;
        // After the checkpoints, which another replica may have moved on.
        let head = self.log.head().await?;
        let refuse = |why: String| Err(OperatorError::NotAdoptable(format!("{name}: {why}")));
        let Some((_, first)) = parts.first() else {
            return refuse("its number of parts is being changed: try again".to_owned());
        };
        let from = first.epoch;
        // What any part has handled, or a former one.
        let reached = parts.iter().map(|(_, part)| part.position);
        let at = reached.max().unwrap_or(0).max(furthest);
        if from == head.epoch {
            if at > head.position {
                return refuse(format!(
                    "the checkpoint {at} is beyond the head {} of the same log, so the log has lost \
                     events and does not know it: banyan log new-epoch --reason … first",
                    head.position
                ));
            }
            return Ok(());
        }
        let Some(shared) = self.log.shared_with(from).await? else {
            return refuse(format!(
                "the checkpoint belongs to log {from}, which this log never was: restore the \
                 service's database and the log to one point"
            ));
        };
        if at > shared && (beyond, reader.handler.kind()) != (Beyond::Rewind, Kind::Process) {
            let act = match reader.handler.kind() {
                Kind::Projection => "build it anew: banyan consumers replay",
                Kind::Process => {
                    "restore its database to the same point, or go on from the last event that \
                     both know: banyan consumers adopt --rewind"
                }
            };
            let gone = at - shared;
            return refuse(format!(
                "it has handled {gone} events beyond {shared}, which the log has lost; {act}"
            ));
        }
        let mut tx = self.database.begin().await?;
        let now = tx.now().await?;
        let to = |part: &Checkpoint| part.position.min(shared);
        let rows = parts
            .iter()
            .map(|(part, was)| params![part, from, was.position, head.epoch, to(was), now]);
        // By compare-and-set: an operator who replays at this moment wins.
        let moved = tx
            .execute_each(
                "UPDATE consumer_checkpoints
                 SET epoch = $4, position = $5, updated_at = $6, edition = edition + 1
                 WHERE consumer = $1 AND epoch = $2 AND position = $3",
                rows.collect(),
            )
            .await?;
        if usize::try_from(moved) != Ok(parts.len()) {
            return Ok(());
        }
        split::forget_above(&mut tx, name, shared).await?;
        tx.signal(CONTROL);
        Ok(tx.commit().await?)
    }
}
