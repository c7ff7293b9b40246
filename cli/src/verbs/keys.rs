use clap::{Args, Subcommand};
use reqwest::Method;

use super::Context;
use crate::output::Column;

/// `banyan keys …`
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// The keys, and which of them signs.
    List,
    /// Add a key that signs as soon as every verifier has had time to learn it.
    Rotate(Rotate),
}

/// `banyan keys rotate`
#[derive(Debug, Args)]
pub struct Rotate {
    /// A key was seen by others: drop all keys at once, and with them every access token. Clients
    /// refresh theirs and go on.
    #[arg(long)]
    emergency: bool,
    /// In an emergency: drop this key only.
    #[arg(long, value_name = "KID", requires = "emergency")]
    kid: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("key", "/kid"),
    ("state", "/state"),
    ("signs from", "/signsFrom"),
    ("kept until", "/keptUntil"),
];

impl Keys {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (method, path) = match self {
            Self::List => (Method::GET, "/ops/keys".to_owned()),
            Self::Rotate(rotate) => (Method::POST, rotate.path()?),
        };
        let keys = context.client.ops("auth", method, &path, None).await?;
        Ok(context.format.list(&keys, COLUMNS)?)
    }
}

impl Rotate {
    fn path(&self) -> anyhow::Result<String> {
        // The host is only there because a URL needs one.
        let mut url = reqwest::Url::parse("http://auth/ops/keys/rotate")?;
        if self.emergency {
            url.query_pairs_mut().append_pair("emergency", "true");
        }
        if let Some(kid) = &self.kid {
            url.query_pairs_mut().append_pair("kid", kid);
        }
        let query = url.query().map(|query| format!("?{query}"));
        Ok(format!("{}{}", url.path(), query.unwrap_or_default()))
    }
}
