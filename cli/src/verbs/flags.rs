use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Context;
use crate::output::Column;

/// `banyan flags …`
#[derive(Debug, Subcommand)]
pub enum Flags {
    /// All flags.
    List,
    /// Change a flag; what is not named stays.
    Set(Set),
    /// Send everybody to legacy, now, until it is cleared with `flags set ID --killed false`.
    Rollback(Because),
    /// Go back to an earlier version's state.
    Restore(Restore),
    /// Every change: who, when, why.
    History {
        /// The flag.
        id: String,
    },
}

/// `banyan flags set`
#[derive(Debug, Args)]
pub struct Set {
    /// The flag.
    id: String,
    /// Percent of subjects on the candidate, up to two decimals.
    #[arg(long)]
    percent: Option<f64>,
    /// Subjects that are always on the candidate; replaces the list. An empty text empties it.
    #[arg(long, value_delimiter = ',')]
    allow: Option<Vec<String>>,
    /// Subjects that never are; replaces the list. An empty text empties it.
    #[arg(long, value_delimiter = ',')]
    deny: Option<Vec<String>>,
    /// Who is over stays, nobody new goes.
    #[arg(long, value_name = "BOOL")]
    drain: Option<bool>,
    /// Everybody to legacy (true), or clear that (false).
    #[arg(long, value_name = "BOOL")]
    killed: Option<bool>,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
    /// Only if the flag still has this version.
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
}

/// A flag and why.
#[derive(Debug, Args)]
pub struct Because {
    /// The flag.
    id: String,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
}

/// `banyan flags restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// The flag.
    id: String,
    /// The version whose state comes back.
    #[arg(value_name = "VERSION")]
    to: u64,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
}

const COLUMNS: &[Column] = &[
    ("flag", "/id"),
    ("percent", "/percent"),
    ("killed", "/killed"),
    ("drain", "/drain"),
    ("allow", "/allow"),
    ("deny", "/deny"),
    ("version", "/version"),
];

const HISTORY: &[Column] = &[
    ("version", "/version"),
    ("at", "/at"),
    ("actor", "/actor"),
    ("percent", "/after/percent"),
    ("killed", "/after/killed"),
    ("reason", "/reason"),
];

impl Set {
    fn patch(&self) -> Value {
        let mut patch = Map::new();
        let list = |values: &[String]| -> Value {
            values
                .iter()
                .filter(|value| !value.is_empty())
                .cloned()
                .collect()
        };
        patch.insert("reason".into(), json!(self.reason));
        let members = [
            ("percent", self.percent.map(|value| json!(value))),
            ("allow", self.allow.as_deref().map(list)),
            ("deny", self.deny.as_deref().map(list)),
            ("drain", self.drain.map(|value| json!(value))),
            ("killed", self.killed.map(|value| json!(value))),
            ("ifVersion", self.if_version.map(|value| json!(value))),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                patch.insert(name.into(), value);
            }
        }
        Value::Object(patch)
    }
}

impl Flags {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (client, format) = (&context.client, context.format);
        match self {
            Self::List => {
                let flags = client.admin(Method::GET, "/admin/flags", None).await?;
                format.list(&flags, COLUMNS)?;
            }
            Self::Set(set) => {
                let path = format!("/admin/flags/{}", set.id);
                let flag = client
                    .admin(Method::PATCH, &path, Some(&set.patch()))
                    .await?;
                format.done(&describe(&flag), &flag)?;
            }
            Self::Rollback(because) => {
                let path = format!("/admin/flags/{}/rollback", because.id);
                let body = json!({ "reason": because.reason });
                let flag = client.admin(Method::POST, &path, Some(&body)).await?;
                format.done(&describe(&flag), &flag)?;
            }
            Self::Restore(restore) => {
                let path = format!("/admin/flags/{}/restore", restore.id);
                let body = json!({ "version": restore.to, "reason": restore.reason });
                let flag = client.admin(Method::POST, &path, Some(&body)).await?;
                format.done(&describe(&flag), &flag)?;
            }
            Self::History { id } => {
                let path = format!("/admin/flags/{id}/history");
                let history = client.admin(Method::GET, &path, None).await?;
                format.list(&history, HISTORY)?;
            }
        }
        Ok(())
    }
}

/// What the flag now does, in a sentence.
fn describe(flag: &Value) -> String {
    let id = flag["id"].as_str().unwrap_or("the flag");
    let version = &flag["version"];
    if flag["killed"] == true {
        return format!("{id} is rolled back: everybody is on legacy (version {version})");
    }
    let drain = if flag["drain"] == true {
        ", nobody new goes over (drain)"
    } else {
        ""
    };
    format!(
        "{id}: {} % on the candidate{drain} (version {version})",
        flag["percent"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_holds_only_what_was_named() {
        let set = Set {
            id: "f".into(),
            percent: Some(12.5),
            allow: Some(vec![String::new()]),
            deny: None,
            drain: None,
            killed: None,
            reason: "why".into(),
            if_version: None,
        };
        assert_eq!(
            set.patch(),
            json!({ "reason": "why", "percent": 12.5, "allow": [] })
        );
    }
}
