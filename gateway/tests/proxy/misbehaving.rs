//! Upstreams that stall, break off, lie and babble: what the client gets, whom the breaker blames, that
//! nothing stays in flight or in a pool, and that the next request is answered by its own answer.

mod bodies;
mod heads;
mod wild;

use futures::StreamExt;
use wild::{Step, Wild};

use crate::stage::{PATIENCE, Stage, upstream};

/// One thing that an upstream does to the first request that it gets.
struct Case {
    name: &'static str,
    asks: &'static [u8],
    does: &'static [Step],
    gets: Gets,
    breaker: Breaker,
}

/// What the client gets.
#[derive(Clone, Copy, Debug)]
enum Gets {
    /// This status, and this body.
    Whole(u16, &'static str),
    /// A problem of the gateway's own.
    Problem(u16, &'static str),
    /// An answer that begins with this status and never ends, or none, and then the connection's end.
    Broken(u16),
}

/// Whether the endpoint is blamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaker {
    Counts,
    Ignores,
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n";

const BAD: Gets = Gets::Problem(502, "upstream_bad_response");
const GONE: Gets = Gets::Problem(502, "upstream_unreachable");
const LATE: Gets = Gets::Problem(504, "upstream_timeout");

/// An answer to a GET that the breaker hears of as a failure.
const fn fails(name: &'static str, does: &'static [Step], gets: Gets) -> Case {
    Case {
        name,
        asks: GET,
        does,
        gets,
        breaker: Breaker::Counts,
    }
}

/// An answer that is one.
const fn passes(name: &'static str, does: &'static [Step], body: &'static str) -> Case {
    Case {
        name,
        asks: GET,
        does,
        gets: Gets::Whole(200, body),
        breaker: Breaker::Ignores,
    }
}

/// Tries all cases, several at a time since many of them are about waiting.
async fn judge(cases: &'static [Case]) {
    let judged = futures::stream::iter(cases.iter().map(|case| async move {
        let what = case.judge().await.err()?;
        Some(format!("{}: {what}", case.name))
    }));
    let wrong: Vec<String> = judged
        .buffer_unordered(8)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let count = wrong.len();
    assert!(wrong.is_empty(), "{count} cases:\n{}", wrong.join("\n"));
}

impl Case {
    async fn judge(&self) -> Result<(), String> {
        let legacy = Wild::start(self.does).await;
        // Long enough for a clean answer on a busy machine.
        let settings = "timeout = \"2s\"\nidle_timeout = \"2s\"\n\
                        breaker = { failures = 1, window = \"60s\", open_for = \"1ms\" }";
        let stage = Stage::single(&format!(
            "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
            upstream("legacy", legacy.address, settings)
        ))
        .await;
        let mut client = stage.connect().await;
        client.send(self.asks).await;
        let got = client.rest().await;
        let got = String::from_utf8_lossy(&got);
        if !self.gets.matches(&got) {
            return Err(format!("not {:?}, the client got {got:?}", self.gets));
        }
        let endpoint = || stage.data.upstreams().snapshot()[0].endpoints[0].clone();
        let settled = async {
            while endpoint().in_flight > 0 || endpoint().idle_connections > 0 {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, settled).await.is_err() {
            return Err(format!("something is left: {:?}", endpoint()));
        }
        let opened = endpoint().breaker_opened;
        if opened != u64::from(self.breaker == Breaker::Counts) {
            return Err(format!("the circuit opened {opened} times"));
        }
        while endpoint().breaker == Some(gateway::upstream::breaker::Phase::Open) {
            tokio::task::yield_now().await;
        }
        let next = stage.get("/", "").await;
        match (next.status(), next.body.as_str()) {
            (200, "clean") => Ok(()),
            _ => Err(format!("the next client got {next:?}")),
        }
    }
}

impl Gets {
    fn matches(self, got: &str) -> bool {
        let (head, body) = got.split_once("\r\n\r\n").unwrap_or((got, ""));
        let head = head.to_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse::<usize>().ok());
        let is_chunked = head.contains("transfer-encoding: chunked");
        let is_whole = match length {
            Some(length) => body.len() == length,
            None => !is_chunked || body.ends_with("0\r\n\r\n"),
        };
        match self {
            Self::Whole(wanted, text) => {
                let content = if is_chunked {
                    chunks(body)
                } else {
                    body.to_owned()
                };
                let is_whole = match wanted {
                    // Of these a length says nothing, and beside 204 it must not stand.
                    204 => length.is_none() && !is_chunked,
                    _ => is_whole || text.is_empty(),
                };
                status == Some(wanted) && is_whole && content == text
            }
            Self::Problem(wanted, code) => {
                status == Some(wanted) && is_whole && body.contains(&format!("\"{code}\""))
            }
            Self::Broken(wanted) => got.is_empty() || (status == Some(wanted) && !is_whole),
        }
    }
}

/// The content of whole chunks.
fn chunks(body: &str) -> String {
    let mut content = String::new();
    let mut rest = body;
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        let (chunk, behind) = more.split_at_checked(size).unwrap_or((more, ""));
        content.push_str(chunk);
        rest = behind.strip_prefix("\r\n").unwrap_or("");
    }
    content
}
