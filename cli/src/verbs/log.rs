//! What an operator tells the log of its backups, and how a lost one comes back.

mod restore;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Context;
use crate::output::Column;

pub(crate) use restore::Restore;

/// `banyan log …`
#[derive(Debug, Subcommand)]
pub enum LogVerb {
    /// Put a lost log together again from its archive and from what others still have of it. All
    /// services are stopped, and the new log's database is empty.
    Restore(Restore),
    /// What the running log is asked and told.
    #[command(flatten)]
    Ask(Ask),
}

/// What the running log is asked and told.
#[derive(Debug, Subcommand)]
pub enum Ask {
    /// Say that the log was restored from a backup: it gets a new identity, and consumers wait
    /// until each adopts it.
    NewEpoch(NewEpoch),
    /// The log's identities, and where each parted from the one before it.
    Epochs,
    /// The files in which old events lie alone.
    Archive,
    /// Who keeps events in the log's database, and up to where it no longer does.
    Holds,
    /// The transaction that last kept others from writing to the log.
    Blocking,
    /// Say that a consumer is no more: it keeps no events in the log's database any longer.
    ForgetReader(ForgetReader),
    /// Say that a backup of the log up to a position is safe: outboxes need not keep events up to
    /// there.
    BackedUp {
        /// The last position that the backup holds for certain: the head before it began.
        #[arg(long)]
        position: i64,
    },
}

/// `banyan log new-epoch`
#[derive(Debug, Args)]
pub struct NewEpoch {
    /// Why, for the record: which backup it was.
    #[arg(long)]
    reason: String,
}

/// `banyan log forget-reader`
#[derive(Debug, Args)]
pub struct ForgetReader {
    /// The consumer, as `banyan log holds` names it: SERVICE/CONSUMER.
    reader: String,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
}

const RANGES: &[Column] = &[
    ("first", "/first"),
    ("last", "/last"),
    ("taken until", "/takenTo"),
    ("bytes", "/bytes"),
    ("file", "/file"),
    ("folder", "/folder"),
];

const BLOCKERS: &[Column] = &[
    ("seen", "/seenAt"),
    ("blocks", "/blocks"),
    ("pid", "/pid"),
    ("user", "/user"),
    ("application", "/application"),
    ("state", "/state"),
    ("ms", "/millis"),
    ("waiting", "/waiting"),
    ("query", "/query"),
];

const HOLDS: &[Column] = &[("who", "/name"), ("needs nothing up to", "/position")];

const COLUMNS: &[Column] = &[
    ("began", "/beganAt"),
    ("epoch", "/epoch"),
    ("shares events up to", "/position"),
    ("with", "/predecessor"),
    ("by", "/actor"),
    ("reason", "/reason"),
];

impl Ask {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (client, format) = (&context.client, context.format);
        match self {
            Self::NewEpoch(NewEpoch { reason }) => {
                let body = json!({ "reason": reason });
                let path = "/ops/log/epochs";
                let begun = client.ops("log", Method::POST, path, Some(&body)).await?;
                let text = |name: &str| begun[name].as_str().unwrap_or_default();
                let sentence = format!(
                    "The log is {} from position {} on; before that it was {}.\n\
                     Next: start the services, then banyan consumers adopt --all",
                    text("epoch"),
                    begun["position"],
                    text("predecessor"),
                );
                format.done(&sentence, &begun)?;
            }
            Self::Epochs => {
                let epochs = client
                    .ops("log", Method::GET, "/ops/log/epochs", None)
                    .await?;
                format.list(&epochs, COLUMNS)?;
            }
            Self::Archive => {
                let path = "/ops/log/archive";
                let archive = client.ops("log", Method::GET, path, None).await?;
                format.list(&archive, RANGES)?;
            }
            Self::Blocking => {
                let path = "/ops/log/blocking";
                let answer = client.ops("log", Method::GET, path, None).await?;
                let last: Vec<_> = std::iter::once(answer["last"].clone())
                    .filter(|last| !last.is_null())
                    .collect();
                format.list(&json!({ "items": last }), BLOCKERS)?;
            }
            Self::Holds => {
                let path = "/ops/log/archive";
                let archive = client.ops("log", Method::GET, path, None).await?;
                format.list(&holds(&archive), HOLDS)?;
            }
            Self::ForgetReader(ForgetReader { reader, reason }) => {
                let body = json!({ "reader": reader, "reason": reason });
                let path = "/ops/log/readers/forget";
                let answer = client.ops("log", Method::POST, path, Some(&body)).await?;
                let sentence = format!("{reader} keeps no events any longer.");
                format.done(&sentence, &answer)?;
            }
            Self::BackedUp { position } => {
                let body = json!({ "position": position });
                let path = "/ops/log/backed-up";
                let noted = client.ops("log", Method::POST, path, Some(&body)).await?;
                let sentence = format!("The log is backed up to position {}.", noted["position"]);
                format.done(&sentence, &noted)?;
            }
        }
        Ok(())
    }
}

/// Those that the log names, and what is in files or backups at all.
fn holds(archive: &Value) -> Value {
    let mut holds = archive["holds"].as_array().cloned().unwrap_or_default();
    holds.push(json!({ "name": "archive", "position": archive["backedUpTo"] }));
    json!({ "items": holds })
}
