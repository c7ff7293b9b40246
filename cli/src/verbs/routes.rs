use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use figment::{
    Figment,
    providers::{Format as _, Toml, Yaml},
};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Context;
use crate::{
    output::{Column, Format},
    parts::gateway_file,
};

/// How long `apply` waits for the gateway to take the file over: it reads twice, 200 ms apart.
const APPLY_WAIT: Duration = Duration::from_secs(10);

/// `banyan routes …`
#[derive(Debug, Subcommand)]
pub enum Routes {
    /// The routing table, with live counts of each side.
    List,
    /// Check a configuration file: all faults at once and exit 64, or 0.
    Check(Check),
    /// Where one request would go, and why.
    Explain(Explain),
    /// What a configuration file would change in the running table.
    Diff(NewFile),
    /// Put a configuration file in the place of the running one, and wait until it is in force.
    Apply(NewFile),
}

/// `banyan routes check`
#[derive(Debug, Args)]
pub struct Check {
    /// The gateway configuration to check.
    file: PathBuf,
}

/// `banyan routes explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The method: `GET`, `POST`, …
    method: String,
    /// The path.
    path: String,
    /// Whom the flag decides for; else taken from the headers as for a request.
    #[arg(long)]
    subject: Option<String>,
    /// The host the request is for.
    #[arg(long)]
    host: Option<String>,
    /// A header, `name: value`; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
}

/// A configuration file that is not in force yet.
#[derive(Debug, Args)]
pub struct NewFile {
    /// The gateway configuration to compare or to apply.
    file: PathBuf,
    /// The file that the running gateway watches; known for a `banyan up`.
    #[arg(long, value_name = "FILE")]
    live: Option<PathBuf>,
}

const COLUMNS: &[Column] = &[
    ("route", "/id"),
    ("paths", "/paths"),
    ("methods", "/methods"),
    ("legacy", "/legacy"),
    ("candidate", "/candidate"),
    ("flag", "/flag"),
    ("fallback", "/fallback"),
    ("legacy reqs", "/stats/legacy/requests"),
    ("candidate reqs", "/stats/candidate/requests"),
];

impl Check {
    pub(super) fn run(&self, format: Format) -> anyhow::Result<()> {
        let config = gateway_file(&self.file)?;
        let answer = json!({ "routes": config.routes.len(), "flags": config.flags.len() });
        let sentence = format!(
            "{}: good ({} routes, {} flags)",
            self.file.display(),
            config.routes.len(),
            config.flags.len()
        );
        Ok(format.done(&sentence, &answer)?)
    }
}

impl Routes {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (client, format) = (&context.client, context.format);
        match self {
            Self::List => {
                let routes = client.admin(Method::GET, "/admin/routes", None).await?;
                format.list(&routes, COLUMNS)?;
            }
            Self::Check(check) => check.run(format)?,
            Self::Explain(explain) => {
                let body = explain.body()?;
                let answer = client
                    .admin(Method::POST, "/admin/explain", Some(&body))
                    .await?;
                format.record(&answer)?;
            }
            Self::Diff(new) => new.diff(context).await?,
            Self::Apply(new) => new.apply(context).await?,
        }
        Ok(())
    }
}

impl Explain {
    fn body(&self) -> anyhow::Result<Value> {
        let mut headers = Map::new();
        for header in &self.headers {
            let (name, value) = header
                .split_once(':')
                .with_context(|| format!("--header {header:?} must be `name: value`"))?;
            headers.insert(name.trim().to_lowercase(), json!(value.trim()));
        }
        let mut body = json!({ "method": self.method, "path": self.path, "headers": headers });
        if let Some(subject) = &self.subject {
            body["subject"] = json!(subject);
        }
        if let Some(host) = &self.host {
            body["host"] = json!(host);
        }
        Ok(body)
    }
}

impl NewFile {
    fn live(&self, context: &Context) -> anyhow::Result<PathBuf> {
        let path = self
            .live
            .clone()
            .unwrap_or_else(|| context.global.data_dir.join("gateway.toml"));
        if !path.is_file() {
            bail!(
                "{} is not there; name the gateway's own file with --live",
                path.display()
            );
        }
        Ok(path)
    }

    async fn diff(&self, context: &Context) -> anyhow::Result<()> {
        let changes = changes(&declared(&self.live(context)?)?, &declared(&self.file)?);
        let answer = json!({ "items": changes });
        context.format.list(
            &answer,
            &[("what", "/what"), ("change", "/change"), ("id", "/id")],
        )?;
        Ok(())
    }

    async fn apply(&self, context: &Context) -> anyhow::Result<()> {
        let live = self.live(context)?;
        let new = gateway_file(&self.file)?;
        let wanted: Vec<_> = new.routes.iter().map(|route| route.declaration()).collect();
        let fresh = live.with_extension("new");
        std::fs::copy(&self.file, &fresh)
            .and_then(|_| std::fs::rename(&fresh, &live))
            .with_context(|| format!("cannot write {}", live.display()))?;
        let begun = std::time::Instant::now();
        loop {
            let table = context
                .client
                .admin(Method::GET, "/admin/routes", None)
                .await?;
            let items = table["items"].as_array().cloned().unwrap_or_default();
            if items.len() == wanted.len() && wanted.iter().all(|route| is_shown(route, &items)) {
                break;
            }
            if begun.elapsed() > APPLY_WAIT {
                bail!(
                    "the gateway did not take {} over; its log says why",
                    live.display()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let state = context
            .client
            .admin(Method::GET, "/admin/config", None)
            .await?;
        if state["inForce"] != true {
            bail!(
                "the gateway refused {}: {}",
                live.display(),
                state["faults"]
            );
        }
        let sentence = format!("{} is in force", self.file.display());
        Ok(context
            .format
            .done(&sentence, &json!({ "routes": wanted }))?)
    }
}

/// Whether the running table has this declaration, whatever else it says of the route.
fn is_shown(declaration: &Value, items: &[Value]) -> bool {
    let Some(members) = declaration.as_object() else {
        return false;
    };
    items
        .iter()
        .any(|shown| members.iter().all(|(name, value)| shown[name] == *value))
}

/// One thing that a file declares: its kind, its id, and what the file says of it.
type Declared = (&'static str, String, Value);

/// What the file says of each thing in it.
fn declared(file: &Path) -> anyhow::Result<Vec<Declared>> {
    gateway_file(file)?;
    let figment = match file.extension().and_then(|ending| ending.to_str()) {
        Some("yaml" | "yml") => Figment::from(Yaml::file_exact(file)),
        _ => Figment::from(Toml::file_exact(file)),
    };
    let whole: Value = figment.extract()?;
    let mut all = Vec::new();
    for route in whole["routes"].as_array().into_iter().flatten() {
        let id = route["id"].as_str().unwrap_or_default().to_owned();
        all.push(("route", id, route.clone()));
    }
    for (what, key) in [("flag", "flags"), ("upstream", "upstreams")] {
        for (id, value) in whole[key].as_object().into_iter().flatten() {
            all.push((what, id.clone(), value.clone()));
        }
    }
    Ok(all)
}

fn changes(old: &[Declared], new: &[Declared]) -> Vec<Value> {
    let find = |list: &[Declared], what: &str, id: &str| {
        list.iter()
            .find(|(w, i, _)| *w == what && i == id)
            .map(|(_, _, value)| value.clone())
    };
    let mut rows = Vec::new();
    for (what, id, value) in new {
        match find(old, what, id) {
            None => rows.push(json!({ "what": what, "change": "added", "id": id })),
            Some(before) if before != *value => {
                let row = json!({ "what": what, "change": "changed", "id": id, "before": before,
                                  "after": value });
                rows.push(row);
            }
            Some(_) => {}
        }
    }
    for (what, id, _) in old {
        if find(new, what, id).is_none() {
            rows.push(json!({ "what": what, "change": "removed", "id": id }));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_tells_added_changed_and_removed() {
        let old = [
            ("route", "a".to_owned(), json!(1)),
            ("route", "b".to_owned(), json!(1)),
        ];
        let new = [
            ("route", "b".to_owned(), json!(2)),
            ("flag", "a".to_owned(), json!(1)),
        ];
        let told: Vec<_> = changes(&old, &new)
            .iter()
            .map(|row| format!("{} {} {}", row["change"], row["what"], row["id"]))
            .collect();
        assert_eq!(
            told,
            [
                "\"changed\" \"route\" \"b\"",
                "\"added\" \"flag\" \"a\"",
                "\"removed\" \"route\" \"a\""
            ]
        );
    }
}
