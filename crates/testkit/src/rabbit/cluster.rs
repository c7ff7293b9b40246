//! Three RabbitMQ nodes that know each other, of which any may be taken away.

use std::{fmt::Write as _, fs::Permissions, os::unix::fs::PermissionsExt};

use tokio::task::JoinSet;

use super::Rabbit;
use crate::free_port;

const SIZE: usize = 3;
/// By which the nodes believe each other; they listen on loopback alone.
const COOKIE: &str = "banyan-test";

/// A private cluster of three, gone with its data when the value is dropped.
///
/// It starts in half a minute on a busy machine: a test that needs one asks it all it wants.
pub struct RabbitCluster {
    /// The nodes; kill and restart them by their place.
    pub nodes: Vec<Rabbit>,
}

impl RabbitCluster {
    /// Starts three nodes that form a cluster.
    ///
    /// # Errors
    /// When RabbitMQ is not installed or a node does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let directory_port = free_port();
        let mut nodes = Vec::new();
        for _ in 0..SIZE {
            let mut node = Rabbit::prepared(directory_port)?;
            node.in_cluster = true;
            let cookie = node.folder.path().join(".erlang.cookie");
            std::fs::write(&cookie, COOKIE)?;
            // Erlang refuses one that others may read.
            std::fs::set_permissions(&cookie, Permissions::from_mode(0o400))?;
            nodes.push(node);
        }
        let mut configuration =
            "cluster_formation.peer_discovery_backend = classic_config\n".to_owned();
        for (place, node) in nodes.iter().enumerate() {
            let (place, name) = (place + 1, node.node());
            writeln!(
                configuration,
                "cluster_formation.classic_config.nodes.{place} = {name}"
            )?;
        }
        // One directory for all; it stays when the first node is killed.
        nodes[0].directory = Some(nodes[0].start_directory().await?);
        let mut starting = JoinSet::new();
        for (place, mut node) in nodes.into_iter().enumerate() {
            node.configure(&configuration)?;
            starting.spawn(async move { node.restart().await.map(|()| (place, node)) });
        }
        let mut started = Vec::new();
        while let Some(node) = starting.join_next().await {
            started.push(node??);
        }
        started.sort_by_key(|(place, _)| *place);
        let nodes = started.into_iter().map(|(_, node)| node).collect();
        Ok(Self { nodes })
    }

    /// The addresses of all, with commas.
    pub fn url(&self) -> String {
        let urls: Vec<String> = self.nodes.iter().map(Rabbit::url).collect();
        urls.join(",")
    }
}
