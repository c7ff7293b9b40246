use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Context, consumers::with_consumers};
use crate::{client::Client, output::Column};

/// `banyan sync …`
#[derive(Debug, Subcommand)]
pub enum Sync {
    /// Copy what the monolith has and the new services do not have yet, or have older. Can be
    /// repeated at any time; never overwrites a newer row.
    Backfill,
}

const COLUMNS: &[Column] = &[("service", "/service"), ("imported", "/report")];

impl Sync {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Backfill => {
                let items = backfill(&context.client).await?;
                Ok(context.format.list(&json!({ "items": items }), COLUMNS)?)
            }
        }
    }
}

/// Asks each service to import from the monolith, one after the other; what each one did.
///
/// # Errors
/// The first service that could not.
pub(crate) async fn backfill(client: &Client) -> anyhow::Result<Vec<Value>> {
    let mut items = Vec::new();
    for service in with_consumers(client.endpoints()) {
        // It holds nothing that the monolith had.
        if service == "maintenance" {
            continue;
        }
        let report = client
            .ops(&service, Method::POST, "/ops/import", None)
            .await?;
        items.push(json!({ "service": service, "report": report }));
    }
    Ok(items)
}
