//! The same rows in the same tables of PostgreSQL, written without the log: what it is held against.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use clap::ValueEnum;
use contracts::Event;
use event_store::{Log, LogOptions};
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::{
    Load, Place,
    event::{SERVICE, Source},
    window::{self, Caller},
};

/// Who may write at the same moment.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// Everybody: positions are handed out by the program, and commit in any order.
    None,
    /// One after the other, in commit order: a transaction for each event, under one row's lock.
    Total,
}

const ONE: &str = "
    WITH keyed AS (INSERT INTO event_keys (id, position, stream, version, type, correlation_id)
                   VALUES ($2, $1, $3, $4, $5, $7))
    INSERT INTO events (position, id, stream, version, type, aggregate_id, schema_version, payload,
                        occurred_at, correlation_id, service_id)
    VALUES ($1, $2, $3, $4, $5, $3, 1, $6::jsonb, now(), $7, $8)";

/// The row's lock is held until the commit, and one statement is one round trip.
const NEXT: &str = "
    WITH next AS (UPDATE log_head SET head = head + 1, keys_to = keys_to + 1 RETURNING head),
         keyed AS (INSERT INTO event_keys (id, position, stream, version, type, correlation_id)
                   SELECT $2, head + $1, $3, $4, $5, $7 FROM next)
    INSERT INTO events (position, id, stream, version, type, aggregate_id, schema_version, payload,
                        occurred_at, correlation_id, service_id)
    SELECT head + $1, $2, $3, $4, $5, $3, 1, $6::jsonb, now(), $7, $8 FROM next";

const MANY: &str = "
    WITH keyed AS (
        INSERT INTO event_keys (id, position, stream, version, type, correlation_id)
        SELECT id, position, stream, version, type, correlation_id
        FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $7::uuid[])
             AS rows (position, id, stream, version, type, correlation_id))
    INSERT INTO events (position, id, stream, version, type, aggregate_id, schema_version, payload,
                        occurred_at, correlation_id, service_id)
    SELECT position, id, stream, version, type, stream, 1, payload::jsonb, now(), correlation_id, $8
    FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                $7::uuid[])
         AS rows (position, id, stream, version, type, payload, correlation_id)";

struct Writer {
    connection: PgConnection,
    position: Arc<AtomicI64>,
    source: Source,
    order: Order,
    batch: usize,
}

impl Writer {
    async fn one(&mut self) -> anyhow::Result<()> {
        let event = self.source.next();
        let (sql, position) = match self.order {
            Order::None => (ONE, self.position.fetch_add(1, Ordering::Relaxed)),
            Order::Total => (NEXT, 0),
        };
        let query = sqlx::query(sql)
            .bind(position)
            .bind(event.id)
            .bind(event.stream)
            .bind(event.version)
            .bind(event.event_type)
            .bind(event.payload.to_string())
            .bind(event.correlation_id)
            .bind(SERVICE);
        query.execute(&mut self.connection).await?;
        Ok(())
    }

    async fn many(&mut self) -> anyhow::Result<()> {
        let events = self.source.batch(self.batch);
        let count = i64::try_from(events.len())?;
        let first = self.position.fetch_add(count, Ordering::Relaxed);
        let positions: Vec<i64> = (first..first + count).collect();
        let uuids = |of: fn(&Event) -> Uuid| events.iter().map(of).collect::<Vec<_>>();
        let texts = |of: fn(&Event) -> String| events.iter().map(of).collect::<Vec<_>>();
        let versions: Vec<i64> = events.iter().map(|event| event.version).collect();
        let query = sqlx::query(MANY)
            .bind(positions)
            .bind(uuids(|event| event.id))
            .bind(texts(|event| event.stream.clone()))
            .bind(versions)
            .bind(texts(|event| event.event_type.clone()))
            .bind(texts(|event| event.payload.to_string()))
            .bind(uuids(|event| event.correlation_id))
            .bind(SERVICE);
        query.execute(&mut self.connection).await?;
        Ok(())
    }
}

impl Caller for Writer {
    async fn call(&mut self) -> anyhow::Result<()> {
        if self.batch == 1 {
            self.one().await
        } else {
            self.many().await
        }
    }
}

pub(crate) async fn run(order: Order, load: Load) -> anyhow::Result<Value> {
    let empty = Place::Postgres.empty().await?;
    // For its tables alone.
    drop(Log::open(&empty.url, LogOptions::default()).await?);
    let mut owner = PgConnection::connect(&empty.url).await?;
    // What goes beyond the log's first partition, which nobody extends here.
    let rest = "CREATE TABLE rest PARTITION OF events FOR VALUES FROM (1000001) TO (MAXVALUE)";
    owner.execute(rest).await?;
    let position = Arc::new(AtomicI64::new(1));
    let mut writers = Vec::new();
    for _ in 0..load.callers {
        let mut connection = PgConnection::connect(&empty.url).await?;
        connection.execute("SET jit = off").await?;
        writers.push(Writer {
            connection,
            position: Arc::clone(&position),
            source: Source::new(load.ids, load.narrow),
            order,
            batch: load.batch,
        });
    }
    window::measure(writers, load.window(), load.batch).await
}
