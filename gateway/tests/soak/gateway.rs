//! The binary as it is shipped, and what the system says of it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::Process;

use crate::PATIENCE;

/// A running gateway.
pub(crate) struct Gateway {
    process: Process,
    admin: SocketAddr,
}

/// Edits of the file, by what came of them.
#[derive(Debug)]
pub(crate) struct Reloads {
    pub(crate) applied: u64,
    pub(crate) refused: u64,
}

impl Gateway {
    pub(crate) async fn start(file: &Path, admin: SocketAddr) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_banyan-gateway"));
        command.arg("--config").arg(file);
        let process = Process::spawn_command(command).expect("the binary starts");
        process.line("listening", PATIENCE).await;
        Self { process, admin }
    }

    /// Open files and sockets.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(folder).expect("the process runs").count()
    }

    /// What is resident, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let file = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(file).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        number
            .and_then(|number| number.trim().parse().ok())
            .expect("a size")
    }

    pub(crate) async fn reloads(&self) -> Reloads {
        let url = format!("http://{}/metrics", self.admin);
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client");
        let answer = client
            .get(url)
            .send()
            .await
            .expect("the admin port answers");
        let text = answer.text().await.expect("a text");
        let count = |result: &str| {
            let name = format!("banyan_gateway_config_reloads_total{{result=\"{result}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.and_then(|number| number.parse().ok())
                .unwrap_or_default()
        };
        Reloads {
            applied: count("applied"),
            refused: count("refused"),
        }
    }

    /// SIGTERM, after which it is over soon and in order.
    pub(crate) async fn stop(mut self) {
        self.process.terminate().expect("the process runs");
        let status = self.process.exit(Duration::from_secs(20)).await;
        assert_eq!(status.code(), Some(0));
        let output = self.process.output();
        // Faulty edits are told as errors, as they must be.
        let is_bad = |line: &&String| {
            line.contains("panicked") || line.contains("ERROR") && !line.contains("is refused")
        };
        let bad = output.iter().find(is_bad);
        assert_eq!(bad, None);
    }
}
