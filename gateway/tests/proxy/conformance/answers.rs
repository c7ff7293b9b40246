//! What upstreams say is not trusted either (RFC 9112 §6.3, §7.1, §11.2): a message that can be read in
//! two ways, or ends too early, becomes a 502 or a broken connection, and never the beginning of somebody
//! else's answer.

use crate::scripted::{Act, Scripted, ok};
use crate::stage::Stage;

/// One message of an upstream.
struct Case {
    /// The RFC and its section.
    rfc: &'static str,
    name: &'static str,
    said: &'static str,
    gets: Gets,
}

/// What the client gets.
#[derive(Clone, Copy)]
enum Gets {
    /// A whole answer: status and body.
    Whole(u16, &'static str),
    /// The gateway's 502.
    BadGateway,
    /// The head at most, and then a connection that ends before the body does.
    Broken,
}

use Gets::{BadGateway, Broken, Whole};

#[tokio::test]
async fn an_answer_is_whole_or_it_is_none_and_the_next_one_is_clean() {
    let mut wrong = Vec::new();
    for case in CASES {
        if let Err(what) = case.judge().await {
            wrong.push(format!(
                "{} ({}): {what}\n    {:?}",
                case.name, case.rfc, case.said
            ));
        }
    }
    let count = wrong.len();
    assert!(wrong.is_empty(), "{count} cases:\n{}", wrong.join("\n"));
}

/// A second answer that nobody asked for comes right behind the first; however quickly the next client
/// is there, it gets its own.
#[tokio::test]
async fn what_nobody_asked_for_is_nobodys_answer() {
    let surplus = [&ok("first")[..], &ok("nobody's")].concat();
    for _ in 0..50 {
        let legacy = Scripted::script([Act::Say(surplus.clone())], Act::Say(ok("own"))).await;
        let stage = Stage::simple(legacy.address).await;
        assert_eq!(stage.get("/", "").await.body, "first");
        assert_eq!(stage.get("/", "").await.body, "own");
    }
}

impl Case {
    async fn judge(&self) -> Result<(), String> {
        let first = Act::SayAndClose(self.said.to_owned());
        let legacy = Scripted::script([first], Act::Say(ok("clean"))).await;
        let stage = Stage::simple(legacy.address).await;
        let mut client = stage.connect().await;
        client
            .send(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .await;
        let got = String::from_utf8_lossy(&client.rest().await).into_owned();
        let next = stage.get("/", "").await;
        if (next.status(), next.body.as_str()) != (200, "clean") {
            return Err(format!("the next client got {next:?}"));
        }
        let (head, body) = got.split_once("\r\n\r\n").unwrap_or((&got, ""));
        let status = head
            .get(9..12)
            .and_then(|status| status.parse::<u16>().ok());
        let head = head.to_lowercase();
        let is_chunked = head.contains("transfer-encoding: chunked");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|length| length.parse::<usize>().ok());
        let is_whole = match length {
            Some(length) => body.len() == length,
            None if is_chunked => body.ends_with("0\r\n\r\n"),
            None => true,
        };
        let is_right = match self.gets {
            Whole(wanted, text) => {
                status == Some(wanted) && is_whole && (body == text || unchunked(body) == text)
            }
            BadGateway => status == Some(502) && body.contains("upstream_"),
            Broken => got.is_empty() || (status == Some(200) && !is_whole),
        };
        if is_right {
            Ok(())
        } else {
            Err(format!("the client got {got:?}"))
        }
    }
}

/// The content of chunks, as far as it goes.
fn unchunked(body: &str) -> String {
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

const CASES: &[Case] = &[
    Case {
        rfc: "9112 §6.3",
        name: "a length",
        said: "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        gets: Whole(200, "hello"),
    },
    Case {
        rfc: "9112 §6.3",
        name: "until the end of the connection",
        said: "HTTP/1.1 200 OK\r\n\r\nhello",
        gets: Whole(200, "hello"),
    },
    Case {
        rfc: "9112 §6.3",
        name: "HTTP/1.0",
        said: "HTTP/1.0 200 OK\r\n\r\nhello",
        gets: Whole(200, "hello"),
    },
    Case {
        rfc: "9112 §7.1",
        name: "chunks",
        said: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        gets: Whole(200, "hello"),
    },
    Case {
        rfc: "9112 §4",
        name: "no reason phrase",
        said: "HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\nhello",
        gets: Whole(200, "hello"),
    },
    Case {
        rfc: "9110 §15.2",
        name: "an interim answer before the final one",
        said: "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        gets: Whole(200, "hello"),
    },
    Case {
        rfc: "9110 §15.3.5",
        name: "204 has no body, whatever follows it",
        said: "HTTP/1.1 204 No Content\r\n\r\nhello",
        gets: Whole(204, ""),
    },
    Case {
        rfc: "9110 §15.4.5",
        name: "304 has no body, whatever follows it",
        said: "HTTP/1.1 304 Not Modified\r\n\r\nhello",
        gets: Whole(304, ""),
    },
    Case {
        rfc: "9112 §6.3",
        name: "a length that is not reached",
        said: "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
        gets: Broken,
    },
    Case {
        rfc: "9112 §7.1",
        name: "chunks without their end",
        said: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        gets: Broken,
    },
    Case {
        rfc: "9112 §7.1",
        name: "a chunk that ends within itself",
        said: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhello",
        gets: Broken,
    },
    Case {
        rfc: "9112 §7.1",
        name: "a chunk's size that is no number",
        said: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n",
        gets: Broken,
    },
    Case {
        rfc: "9112 §7.1",
        name: "a chunk that is longer than its size",
        said: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        gets: Broken,
    },
    Case {
        rfc: "9112 §6.3",
        name: "two lengths that differ",
        said: "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 3\r\n\r\nhello",
        gets: BadGateway,
    },
    Case {
        rfc: "9110 §8.6",
        name: "a length that is no number",
        said: "HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello",
        gets: BadGateway,
    },
    Case {
        rfc: "9110 §8.6",
        name: "a negative length",
        said: "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
        gets: BadGateway,
    },
    Case {
        rfc: "9112 §4",
        name: "no status",
        said: "HTTP/1.1 OK\r\ncontent-length: 5\r\n\r\nhello",
        gets: BadGateway,
    },
    Case {
        rfc: "9112 §4",
        name: "a status of two digits",
        said: "HTTP/1.1 20 OK\r\ncontent-length: 5\r\n\r\nhello",
        gets: BadGateway,
    },
    Case {
        rfc: "9112 §2.3",
        name: "another protocol",
        said: "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        gets: BadGateway,
    },
    Case {
        rfc: "9112 §5",
        name: "a field without a colon",
        said: "HTTP/1.1 200 OK\r\nx y\r\ncontent-length: 5\r\n\r\nhello",
        gets: BadGateway,
    },
    Case {
        rfc: "9110 §5.5",
        name: "a NUL in a value",
        said: "HTTP/1.1 200 OK\r\nx: y\0z\r\ncontent-length: 5\r\n\r\nhello",
        gets: BadGateway,
    },
    Case {
        rfc: "9112 §8",
        name: "an end within the head",
        said: "HTTP/1.1 200 OK\r\ncontent-le",
        gets: BadGateway,
    },
    Case {
        rfc: "9112 §8",
        name: "nothing at all",
        said: "",
        gets: BadGateway,
    },
    Case {
        rfc: "9110 §15.2.2",
        name: "a switch of protocols that nobody asked for",
        said: "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello",
        gets: BadGateway,
    },
];
