//! Personal data in events: what is known of a person's key, and its end.

use clap::{Args, Subcommand};
use event_store::MasterKeys;
use reqwest::Method;
use serde_json::{Value, json};

use super::Context;
use crate::output::Format;

/// `banyan personal …`
#[derive(Debug, Subcommand)]
pub enum Personal {
    /// What is known of a person's key: whether there is one, or when and why it was erased.
    Show {
        /// Whom: the id by which events name them, such as a user's.
        subject: String,
    },
    /// Erase a person's key: nobody reads the personal fields of any event of theirs any more, in the
    /// log, on the bus, in archives and in backups of these. There is no way back.
    Erase(Erase),
    /// Seal all people's keys under the first of `personal_keys`, so that the others can go.
    Rotate,
    /// Make a master key for the setting `personal_keys`, and print it.
    NewKey(NewKey),
}

/// `banyan personal erase`
#[derive(Debug, Args)]
pub struct Erase {
    /// Whom: the id by which events name them, such as a user's.
    subject: String,
    /// Why, for the record; events tell it for ever.
    #[arg(long)]
    reason: String,
}

/// `banyan personal new-key`
#[derive(Debug, Args)]
pub struct NewKey {
    /// Its name: small letters, digits and hyphens.
    #[arg(long, default_value = "master")]
    name: String,
}

impl Personal {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (client, format) = (&context.client, context.format);
        match self {
            Self::Show { subject } => {
                let path = path(&subject, "")?;
                let status = client.ops("log", Method::GET, &path, None).await?;
                Ok(format.done(&told(&status), &status)?)
            }
            Self::Erase(Erase { subject, reason }) => {
                let path = path(&subject, "/erase")?;
                let body = json!({ "reason": reason });
                let erased = client.ops("log", Method::POST, &path, Some(&body)).await?;
                let what = if erased["hadKey"] == true {
                    "The key is erased"
                } else {
                    "There was no key any more, or none yet"
                };
                let sentence = format!("{what}. {}", told(&erased));
                Ok(format.done(&sentence, &erased)?)
            }
            Self::Rotate => {
                let path = "/ops/personal/rotate";
                let rotated = client.ops("log", Method::POST, path, None).await?;
                let sentence = format!("{} keys are sealed anew.", rotated["rotated"]);
                Ok(format.done(&sentence, &rotated)?)
            }
            Self::NewKey(new) => new.run(format),
        }
    }
}

impl NewKey {
    /// Needs no running system.
    pub(super) fn run(&self, format: Format) -> anyhow::Result<()> {
        let key = MasterKeys::generate(&self.name)?;
        MasterKeys::parse(&key)?;
        Ok(format.done(&key, &json!({ "key": key }))?)
    }
}

fn path(subject: &str, verb: &str) -> anyhow::Result<String> {
    // The host is only there because a URL needs one.
    let mut url = reqwest::Url::parse("http://log/ops/personal")?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(subject);
    }
    Ok(format!("{}{verb}", url.path()))
}

fn told(status: &Value) -> String {
    let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
    let subject = text("subject");
    if status["erasedAt"].is_string() {
        let (at, by, why) = (text("erasedAt"), text("actor"), text("reason"));
        return format!("{subject} was erased at {at} by {by}: {why}");
    }
    if status["hasKey"] == true {
        return format!("{subject} has had a key since {}.", text("knownSince"));
    }
    format!("Of {subject} nothing is known.")
}
