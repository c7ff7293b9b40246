//! After the log was restored: a consumer's checkpoint is carried over to the log's new identity,
//! where that is provably right.

use database::params;

use super::{
    Beyond, Consumers, Kind, OperatorError,
    checkpoint::{self, CONTROL},
};

impl Consumers {
    /// Lets the consumer go on with a log that was restored from a backup. Its checkpoint must lie
    /// in what the log shares with the one that it belonged to; then nothing was skipped and
    /// nothing comes twice. One that fits already is left alone.
    ///
    /// # Errors
    /// [`OperatorError::NotAdoptable`]; the checkpoint stays as it was.
    pub async fn adopt(&self, name: &str, beyond: Beyond) -> Result<(), OperatorError> {
        let reader = self.known(name)?;
        if reader.is_second {
            let why = "a second copy adopts no log: abandon it and build another";
            return Err(OperatorError::NotBuiltBeside(format!("{name}: {why}")));
        }
        let head = self.log.head().await?;
        let checkpoint = checkpoint::load(&self.database, name, head.epoch).await?;
        // After the checkpoint, which another replica may have moved on.
        let head = self.log.head().await?;
        let (from, at) = (checkpoint.epoch, checkpoint.position);
        let refuse = |why: String| Err(OperatorError::NotAdoptable(format!("{name}: {why}")));
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
        let to = match (beyond, reader.handler.kind()) {
            _ if at <= shared => at,
            (Beyond::Rewind, Kind::Process) => shared,
            (_, kind) => {
                let act = match kind {
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
        };
        let mut tx = self.database.begin().await?;
        let now = tx.now().await?;
        // By compare-and-set: an operator who replays at this moment wins.
        tx.execute(
            "UPDATE consumer_checkpoints SET epoch = $4, position = $5, updated_at = $6
             WHERE consumer = $1 AND epoch = $2 AND position = $3",
            params![name, from, at, head.epoch, to, now],
        )
        .await?;
        tx.signal(CONTROL);
        Ok(tx.commit().await?)
    }
}
