//! curl, over the versions of HTTP that it speaks.

use std::process::Command;

use crate::site::{FILE, Site};

/// What curl wrote and what it made of the connection.
struct Answer {
    status: String,
    version: String,
    body: Vec<u8>,
    head: String,
}

/// Each version that is asked for, and the one that must come of it.
const PLAIN: [(&str, &str); 3] = [
    ("--http1.1", "1.1"),
    ("--http1.0", "1"),
    ("--http2-prior-knowledge", "2"),
];
const WITH_TLS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2", "2")];

fn curl(site: &Site, path: &str, arguments: &[&str]) -> Answer {
    let (body, head) = (
        site.gateway.folder.path().join("body"),
        site.gateway.folder.path().join("head"),
    );
    let mut command = Command::new("curl");
    // The name has an address that nobody listens on, too.
    command
        .args(["--ipv4", "--cacert"])
        .arg(site.gateway.authority());
    command.args(["--silent", "--show-error", "--max-time", "30"]);
    command
        .arg("--output")
        .arg(&body)
        .arg("--dump-header")
        .arg(&head);
    command.args(["--write-out", "%{http_code} %{http_version}"]);
    let output = command.args(arguments).arg(site.gateway.url(path)).output();
    let output = output.expect("curl is installed by `cargo xtask test`");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "curl {arguments:?} {path}: {told}");
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    let (status, version) = written.split_once(' ').expect("two words");
    Answer {
        status: status.to_owned(),
        version: version.to_owned(),
        body: std::fs::read(&body).unwrap_or_default(),
        head: std::fs::read_to_string(&head).unwrap_or_default(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_reads_sends_resumes_and_asks_for_heads_only() {
    use_all(&Site::open().await, &PLAIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_does_so_behind_tls() {
    use_all(&Site::open_with_tls().await, &WITH_TLS);
}

fn use_all(site: &Site, versions: &[(&str, &str)]) {
    let upload = site.gateway.folder.path().join("upload");
    std::fs::write(&upload, vec![b'x'; 3_000_000]).expect("a file is written");
    let upload = format!("@{}", upload.display());
    for (asked, got) in versions.iter().copied() {
        let hello = curl(site, "/hello", &[asked]);
        assert_eq!(
            (hello.status.as_str(), hello.version.as_str()),
            ("200", got),
            "{asked}"
        );
        assert_eq!(hello.body, b"hello\n");

        let part = curl(site, "/file", &[asked, "--range", "3-7"]);
        assert_eq!(
            (part.status.as_str(), &part.body[..]),
            ("206", &FILE[3..=7]),
            "{asked}"
        );

        let head = curl(site, "/file", &[asked, "--head"]);
        assert!(
            head.head.to_lowercase().contains("content-length: 20"),
            "{}",
            head.head
        );

        // Large enough for curl to ask first, by `Expect: 100-continue`.
        let sent = curl(site, "/count", &[asked, "--data-binary", &upload]);
        assert_eq!(sent.body, b"3000000\n", "{asked}");
        if asked == "--http1.1" {
            let chunked = ["--header", "transfer-encoding: chunked"];
            let arguments = [&[asked, "--data-binary", &upload], &chunked[..]].concat();
            assert_eq!(
                curl(site, "/count", &arguments).body,
                b"3000000\n",
                "{asked}"
            );
        }

        let slipped = curl(site, "/../file#fragment", &[asked, "--path-as-is"]);
        assert_eq!(slipped.body, FILE, "{asked}");
        assert_eq!(curl(site, "/none", &[asked]).status, "404");
    }
}
