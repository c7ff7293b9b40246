//! Prepared inserts into the log's own table on SQLite, by one thread, `synchronous=FULL`.
//!
//! `sqlite MIGRATIONS BATCH SECONDS ordered|random` prints `{"rate": …}`, events a second. The tables
//! are made by the files in MIGRATIONS, the log's own.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rusqlite::{Connection, params};
use uuid::Uuid;

const WARM_UP: Duration = Duration::from_secs(1);
/// Events in one stream, as the log's own measurement has them.
const IN_A_STREAM: i64 = 100;

const INSERT: &str = "
    INSERT INTO events (position, id, stream, version, type, aggregate_id, schema_version, payload,
                        occurred_at, correlation_id, service_id, recorded_at)
    VALUES (?1, ?2, ?3, ?4, 'measured.happened', ?3, 1, ?5, ?6, ?7, 'measure', ?6)";

struct Writer {
    connection: Connection,
    ids: fn() -> Uuid,
    position: i64,
    stream: String,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [migrations, batch, seconds, ids] = words.as_slice() else {
        anyhow::bail!("sqlite MIGRATIONS BATCH SECONDS ordered|random");
    };
    let batch: usize = batch.parse()?;
    let measured = Duration::from_secs(seconds.parse()?);
    let folder = std::env::temp_dir().join(format!("by-hand-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let rate = run(&folder, Path::new(migrations), batch, measured, ids);
    fs::remove_dir_all(&folder)?;
    println!("{{\"rate\": {}}}", rate?);
    Ok(())
}

fn run(
    folder: &Path,
    migrations: &Path,
    batch: usize,
    measured: Duration,
    ids: &str,
) -> anyhow::Result<f64> {
    let connection = Connection::open(folder.join("log.db"))?;
    connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")?;
    for file in files(migrations)? {
        connection.execute_batch(&fs::read_to_string(&file)?)?;
    }
    let mut writer = Writer {
        connection,
        ids: if ids == "random" {
            Uuid::new_v4
        } else {
            Uuid::now_v7
        },
        position: 0,
        stream: String::new(),
    };
    writer.write_for(WARM_UP, batch)?;
    let (before, began) = (writer.position, Instant::now());
    writer.write_for(measured, batch)?;
    let count = writer.position - before;
    ensure!(count > 0, "nothing was written");
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// In the order of their names.
fn files(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

impl Writer {
    fn write_for(&mut self, time: Duration, batch: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < time {
            self.commit(batch)?;
        }
        Ok(())
    }

    fn commit(&mut self, batch: usize) -> anyhow::Result<()> {
        let transaction = self.connection.transaction()?;
        let mut insert = transaction.prepare_cached(INSERT)?;
        for _ in 0..batch {
            let version = self.position % IN_A_STREAM + 1;
            if version == 1 {
                self.stream = format!("measured-{}", (self.ids)());
            }
            self.position += 1;
            insert.execute(params![
                self.position,
                (self.ids)().as_bytes(),
                self.stream,
                version,
                payload(version),
                1_700_000_000_000_000_i64,
                (self.ids)().as_bytes(),
            ])?;
        }
        drop(insert);
        transaction.commit()?;
        Ok(())
    }
}

fn payload(number: i64) -> String {
    format!(
        "{{\"userId\":\"0190a7c4-3f51-7a01-8c1e-5f0f4ad1b201\",\
         \"questionId\":\"0190a7c4-3f51-7a01-8c1e-5f0f4ad1b202\",\
         \"quizMode\":\"classic\",\"number\":{number},\"isCorrect\":true,\
         \"text\":\"Which of these rivers is the longest one? One of those four that are named \
         below, and no other one; whoever does not know may guess, and learn.\"}}"
    )
}
