//! The files of the parts.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

use anyhow::Context;

use super::{LEGACY, LOG, beside, part::Links};
use crate::plan::SERVICES;

/// The prefixes that clients call, and who serves them.
const ROUTES: [(&str, &str); 7] = [
    ("/api/auth", "auth"),
    ("/.well-known", "auth"),
    ("/api/questions", "question"),
    ("/api/answers", "quiz"),
    ("/api/stats", "quiz"),
    ("/api/achievements", "achievement"),
    ("/api/leaderboard", "leaderboard"),
];

/// What the files are about.
pub(super) struct Ground {
    pub(super) folder: PathBuf,
    /// Each database's URL, past the proxies.
    pub(super) urls: BTreeMap<&'static str, String>,
}

impl Ground {
    /// Each part's file, by its name.
    pub(super) fn files(
        &self,
        links: &BTreeMap<String, Links>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for (service, _) in SERVICES {
            for replica in [1, 2] {
                let name = format!("{service}-{replica}");
                let own = &links[&name];
                let text = match service {
                    "gateway" => self.gateway(own, &name, links)?,
                    service => self.service(own, service, links)?,
                };
                files.insert(name, text);
            }
        }
        Ok(files)
    }

    /// A database's URL through a proxy.
    fn through(
        &self,
        database: &str,
        proxy: &testkit::proxy::FaultProxy,
    ) -> anyhow::Result<String> {
        let url = &self.urls[database];
        let (before, behind) = url.split_once('@').context("a URL names a user")?;
        let (_, name) = behind.split_once('/').context("a URL names a database")?;
        Ok(format!("{before}@{}/{name}", proxy.address()))
    }

    fn service(
        &self,
        own: &Links,
        service: &str,
        links: &BTreeMap<String, Links>,
    ) -> anyhow::Result<String> {
        let nats: Vec<String> = own
            .bus
            .iter()
            .map(|proxy| format!("nats://{}", proxy.address()))
            .collect();
        let mut text = format!(
            "listen = \"127.0.0.1:{}\"\nlog = {:?}\nnats = {:?}\n",
            own.port,
            self.through(LOG, &own.log)?,
            nats.join(","),
        );
        if matches!(service, LOG | "auth" | "quiz" | "leaderboard") {
            writeln!(text, "personal_keys = {:?}", testkit::PERSONAL_KEYS)?;
        }
        if service == LOG {
            writeln!(text, "nats_replicas = {}", own.bus.len())?;
            return Ok(text);
        }
        let database = self.through(service, &own.database)?;
        writeln!(text, "database = {database:?}")?;
        if service == "auth" {
            let key = beside(&self.folder, "signing.pem");
            writeln!(text, "signing_key = {key:?}")?;
        } else {
            let gateway = links["gateway-1"].port;
            let keys = format!("http://127.0.0.1:{gateway}/.well-known/jwks.json");
            writeln!(text, "jwks_url = {keys:?}")?;
        }
        Ok(text)
    }

    /// A gateway after its work is done: every route leads to the new services, and none to the
    /// monolith.
    fn gateway(
        &self,
        own: &Links,
        name: &str,
        links: &BTreeMap<String, Links>,
    ) -> anyhow::Result<String> {
        let state = beside(&self.folder, &format!("{name}.json"));
        let mut text = format!(
            "listen = \"127.0.0.1:{}\"\nadmin_listen = \"127.0.0.1:{}\"\nlog = {:?}\n\
             state_file = {state:?}\naccess_log = \"off\"\n",
            own.port,
            own.admin,
            self.through(LOG, &own.log)?,
        );
        for (service, _) in SERVICES
            .iter()
            .filter(|(name, _)| !matches!(*name, "gateway" | LOG))
        {
            let endpoint = |replica: u8| {
                let links = &links[&format!("{service}-{replica}")];
                format!("http://{}", links.front())
            };
            let endpoints = [endpoint(1), endpoint(2)];
            writeln!(
                text,
                "[upstreams.{service}]\nendpoints = {endpoints:?}\n\
                 health = {{ path = \"/health/ready\", interval = \"1s\" }}"
            )?;
        }
        for (number, (prefix, service)) in ROUTES.iter().enumerate() {
            writeln!(
                text,
                "[[routes]]\nid = \"{service}-{number}\"\nprefix = {prefix:?}\n\
                 legacy = {service:?}\nretry_keyed = true"
            )?;
        }
        Ok(text)
    }

    /// The monolith's.
    pub(super) fn legacy(&self, port: u16) -> String {
        let key = beside(&self.folder, "signing.pem");
        let database = &self.urls[LEGACY];
        format!("listen = \"127.0.0.1:{port}\"\ndatabase = {database:?}\nsigning_key = {key:?}\n")
    }
}
