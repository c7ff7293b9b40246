//! The gateway's binary before one upstream.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use testkit::{Process, TempDir};

use crate::site::PATIENCE;

/// A running gateway; all goes to its one upstream.
pub(crate) struct Gateway {
    scheme: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
    _process: Process,
}

/// How clients speak to it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Front {
    Plain,
    /// By a certificate for `localhost` that lies in [`Gateway::authority`].
    Tls,
}

impl Gateway {
    /// Before an upstream on this port that is spoken to by this `protocol`.
    pub(crate) async fn before(upstream: u16, protocol: &str, front: Front) -> Self {
        let folder = testkit::temp_dir();
        let (scheme, tls) = match front {
            Front::Plain => ("http", String::new()),
            Front::Tls => ("https", certificate(&folder)),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], testkit::free_port()));
        let file = folder.path().join("gateway.toml");
        let text = format!(
            "listen = \"{address}\"\nadmin_listen = \"127.0.0.1:{}\"\n{tls}\
             [upstreams.legacy]\nendpoints = [\"http://127.0.0.1:{upstream}\"]\n\
             protocol = \"{protocol}\"\n\
             [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
            testkit::free_port()
        );
        std::fs::write(&file, text).expect("a file is written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_banyan-gateway"));
        command.arg("--config").arg(&file);
        let process = Process::spawn_command(command).expect("the binary starts");
        process.line("listening", PATIENCE).await;
        Self {
            scheme,
            address,
            folder,
            _process: process,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// What a client has to trust where there is TLS.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }
}

/// Makes a certificate; the setting that names it.
fn certificate(folder: &TempDir) -> String {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file is written");
        path
    };
    let cert = file("cert.pem", made.cert.pem());
    let key = file("key.pem", made.signing_key.serialize_pem());
    let (cert, key) = (cert.display(), key.display());
    format!("tls = {{ cert = \"{cert}\", key = \"{key}\" }}\n")
}
