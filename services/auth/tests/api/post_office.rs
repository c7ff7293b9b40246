//! A real mail server (aiosmtpd) whose mails are files.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{Process, TempDir, eventually};

use crate::app::PATIENCE;

/// Where the server's handler is; the monolith's tests use it, too.
const HANDLER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../auth/tests/api");

/// A mail server; it may be closed and opened again at its port.
pub(crate) struct PostOffice {
    port: u16,
    folder: TempDir,
    running: Option<Process>,
}

/// A mail that the server took.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// Whom the envelope named.
    pub(crate) recipients: String,
    /// Headers and body.
    pub(crate) text: String,
}

impl PostOffice {
    /// A port at which nobody listens yet.
    pub(crate) fn closed() -> Self {
        Self {
            port: testkit::free_port(),
            folder: testkit::temp_dir(),
            running: None,
        }
    }

    pub(crate) async fn open() -> Self {
        let mut office = Self::closed();
        office.reopen().await;
        office
    }

    pub(crate) async fn reopen(&mut self) {
        let mut command = Command::new(testkit::python("python").expect("the tests' Python"));
        command
            .args(["-m", "aiosmtpd", "--nosetuid", "--class", "postbox.Postbox"])
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", self.port))
            .arg(self.folder.path())
            .env("PYTHONPATH", HANDLER)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        self.running = Some(Process::spawn_command(command).expect("aiosmtpd starts"));
        let address = ("127.0.0.1", self.port);
        eventually(PATIENCE, || async move {
            tokio::net::TcpStream::connect(address).await.map(drop)
        })
        .await;
    }

    /// The setting `mail` for a service that uses it, with short pauses.
    pub(crate) fn settings(&self) -> auth::mail::Settings {
        auth::mail::Settings {
            smtp: format!("smtp://127.0.0.1:{}", self.port),
            from: "Node-Learn <accounts@example.org>".to_owned(),
            username: None,
            password: None,
            reset_link: None,
            retry_seconds: 1,
        }
    }

    /// What it took so far, in order.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let files = std::fs::read_dir(self.folder.path()).expect("the folder is there");
        let mut files: Vec<PathBuf> = files
            .map(|file| file.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "eml"))
            .collect();
        files.sort();
        files.iter().map(|file| Mail::read(file)).collect()
    }

    /// The mails once there are `count` of them.
    pub(crate) async fn received(&self, count: usize) -> Vec<Mail> {
        eventually(PATIENCE, || async {
            let mails = self.mails();
            (mails.len() >= count).then_some(mails)
        })
        .await
    }

    /// From now on it takes what it put off.
    pub(crate) fn stop_putting_off(&self) {
        std::fs::write(self.folder.path().join("open"), "").expect("the folder is writable");
    }
}

impl Mail {
    fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("a text");
        let (recipients, text) = text.split_once("\r\n").expect("the envelope comes first");
        Self {
            recipients: recipients.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The one line of the mail that is a token.
    pub(crate) fn token(&self) -> String {
        let (_, body) = self.text.split_once("\r\n\r\n").expect("a body");
        let is_token = |line: &&str| {
            line.len() == 43
                && line
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        body.lines()
            .find(is_token)
            .unwrap_or_else(|| panic!("no token in {body}"))
            .to_owned()
    }
}
