//! Three nats-servers that know each other, of which any may be taken away.

use anyhow::Context;

use super::Nats;
use crate::free_port;

const SIZE: usize = 3;

/// A private cluster of three, gone with its data when the value is dropped.
pub struct NatsCluster {
    /// The servers; kill and restart them by their place.
    pub servers: Vec<Nats>,
}

impl NatsCluster {
    /// Starts three servers of the newest version found.
    ///
    /// # Errors
    /// When no nats-server is installed or one does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`NatsCluster::start`], but no server tells clients of the others: they know the addresses
    /// that they were given, which may be those of proxies, and no other.
    ///
    /// # Errors
    /// As [`NatsCluster::start`].
    pub async fn start_discreet() -> anyhow::Result<Self> {
        Self::start_with(&["--no_advertise"]).await
    }

    async fn start_with(more: &[&str]) -> anyhow::Result<Self> {
        let binary = Nats::versions().into_iter().next();
        let binary = binary.context("nats-server is not installed: run `cargo xtask test`")?;
        let ports: Vec<u16> = (0..SIZE).map(|_| free_port()).collect();
        let routes: Vec<String> = ports
            .iter()
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        let mut servers = Vec::new();
        for (place, port) in ports.iter().enumerate() {
            let arguments = [
                "--server_name".to_owned(),
                name(place),
                "--cluster_name".to_owned(),
                "banyan-test".to_owned(),
                "--cluster".to_owned(),
                format!("nats://127.0.0.1:{port}"),
                "--routes".to_owned(),
                routes.join(","),
            ];
            let more = more.iter().map(ToString::to_string);
            let arguments = arguments.into_iter().chain(more).collect();
            let mut server = Nats::prepared(binary.clone(), arguments)?;
            server.restart().await?;
            servers.push(server);
        }
        Ok(Self { servers })
    }

    /// The addresses of all, with commas.
    pub fn url(&self) -> String {
        let urls: Vec<String> = self.servers.iter().map(Nats::url).collect();
        urls.join(",")
    }

    /// The place of the stream's leader, as one of the servers that run sees it; none while there is
    /// none.
    pub async fn leader(&self, stream: &str) -> Option<usize> {
        for server in self.servers.iter().filter(|server| server.id() != 0) {
            let subject = format!("$JS.API.STREAM.INFO.{stream}");
            let Ok(answer) = server.ask(&subject, "").await else {
                continue;
            };
            let leader = answer.pointer("/cluster/leader")?.as_str()?;
            return (0..SIZE).find(|place| name(*place) == leader);
        }
        None
    }
}

fn name(place: usize) -> String {
    format!("banyan-{place}")
}
