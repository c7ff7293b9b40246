//! Consumers tell the log how far they are, so that nothing that they have yet to read leaves its
//! database.

use std::collections::BTreeMap;

use database::{Dialect, Error, params};

use super::{Consumers, checkpoint::Place, split};

type Row = (String, uuid::Uuid, i64);

/// What was told, by the reader's name.
pub(crate) type Told = BTreeMap<String, Place>;

impl Consumers {
    /// Tells the log the checkpoints of this service's database, those that moved since they were told.
    pub(crate) async fn report(&self, service: &str, told: &mut Told) -> Result<(), Error> {
        let sql = "SELECT consumer, epoch, position FROM consumer_checkpoints";
        let rows: Vec<Row> = self.database.fetch_all(sql, params![]).await?;
        let former = self.former(&rows).await?;
        let moved: Told = rows
            .into_iter()
            .chain(former)
            .map(|(consumer, epoch, position)| (format!("{service}/{consumer}"), (epoch, position)))
            .filter(|(reader, place)| told.get(reader) != Some(place))
            .collect();
        if moved.is_empty() {
            return Ok(());
        }
        let log = self.log.database();
        match log.dialect() {
            Dialect::Postgres => {
                let (epochs, positions): (Vec<_>, Vec<_>) = moved.values().copied().unzip();
                let readers: Vec<String> = moved.keys().cloned().collect();
                let sql = "SELECT log_reached($1, $2, $3)";
                log.execute(sql, params![readers, epochs, positions])
                    .await?;
            }
            Dialect::Sqlite => {
                let mut tx = log.begin().await?;
                let now = tx.now().await?;
                let rows = moved
                    .iter()
                    .map(|(reader, (epoch, position))| params![reader, *epoch, *position, now]);
                tx.execute_each(
                    "INSERT INTO log_readers (reader, epoch, position, reported_at)
                     VALUES ($1, $2, $3, $4) ON CONFLICT (reader) DO UPDATE
                     SET epoch = $2, position = $3, reported_at = $4",
                    rows.collect(),
                )
                .await?;
                tx.commit().await?;
            }
        }
        told.extend(moved);
        Ok(())
    }

    /// Parts that are no more keep nothing in the log's database that those have passed which took over
    /// from them.
    async fn former(&self, rows: &[Row]) -> Result<Vec<Row>, Error> {
        let mut former = Vec::new();
        for (name, consumer) in split::former(&self.database).await? {
            let is_back = rows.iter().any(|(present, ..)| *present == name);
            let parts = split::in_force(&self.database, &consumer).await?;
            let lowest = parts.iter().map(|(_, part)| part.place());
            if let Some((epoch, position)) = lowest.min_by_key(|(_, position)| *position)
                && !is_back
            {
                former.push((name, epoch, position));
            }
        }
        Ok(former)
    }
}
