//! Mutated requests in pieces of any size: what an upstream sees is what a strict reader of the same
//! bytes finds in them, request by request, and never anything behind the first thing that it cannot
//! read. `PROPTEST_CASES=100000` runs longer.

mod reader;

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scripted::{Scripted, Seen};
use crate::stage::Stage;
use reader::Message;

/// Runs by default, within a few seconds; the environment's `PROPTEST_CASES` goes over it.
const CASES: u32 = 192;

/// One connection's bytes, and where they are cut.
#[derive(Debug, Clone)]
struct Stream {
    bytes: Vec<u8>,
    cuts: Vec<prop::sample::Index>,
}

/// A change somewhere.
#[derive(Debug, Clone)]
enum Mutation {
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Replace(prop::sample::Index, u8),
    Repeat(prop::sample::Index, usize),
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE"]);
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..24),
        Just(b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        Just(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
    ];
    let extension = prop::sample::select(vec!["", ";a", ";a=b", ";a=\"b\""]);
    let trailer = prop::sample::select(vec!["", "x: y\r\n", "content-length: 9\r\n"]);
    let framing = 0..3_u8;
    (method, "[a-z]{1,6}", framing, body, extension, trailer).prop_map(
        |(method, name, framing, body, extension, trailer)| {
            let head = format!("{method} /{name} HTTP/1.1\r\nhost: a\r\n");
            let mut bytes = head.into_bytes();
            match framing {
                0 => bytes.extend(b"\r\n"),
                1 => {
                    bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                    bytes.extend(body);
                }
                _ => {
                    bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in body.chunks(7) {
                        bytes.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
                        bytes.extend(chunk);
                        bytes.extend(b"\r\n");
                    }
                    bytes.extend(format!("0{extension}\r\n{trailer}\r\n").bytes());
                }
            }
            bytes
        },
    )
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let bytes = prop::sample::select(vec![
        &b"\r"[..],
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b"\0",
        b"\x0b",
        b":",
        b";",
        b",",
        b"0",
        b"1",
        b"f",
        b"-",
        b"+",
        b"#",
        b"\xff",
        b"0\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"content-length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"transfer-encoding: identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"x: y\r\n z\r\n",
        b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    ]);
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), bytes).prop_map(|(at, bytes)| Mutation::Insert(at, bytes.to_vec())),
        (at(), 1..6_usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (at(), 1..40_usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ]
}

impl Mutation {
    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Insert(at, new) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, new);
            }
            Self::Remove(at, length) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Replace(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Self::Repeat(at, length) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                let end = (at + length).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(end..end, again);
            }
            Self::Remove(..) | Self::Replace(..) | Self::Repeat(..) => {}
        }
    }
}

fn streams() -> impl Strategy<Value = Stream> {
    let requests = prop::collection::vec(request(), 1..4);
    let mutations = prop::collection::vec(mutation(), 0..4);
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..6);
    (requests, mutations, cuts).prop_map(|(requests, mutations, cuts)| {
        let mut bytes = requests.concat();
        for mutation in mutations {
            mutation.apply(&mut bytes);
        }
        Stream { bytes, cuts }
    })
}

/// Sends the stream piece by piece and waits until as many answers came as there are requests, or
/// nothing moves any more.
async fn send(stage: &Stage, stream: &Stream, answers: usize) {
    let mut socket = TcpStream::connect(stage.address).await.expect("it accepts");
    socket.set_nodelay(true).expect("a TCP socket");
    let mut cuts: Vec<usize> = stream
        .cuts
        .iter()
        .map(|cut| cut.index(stream.bytes.len() + 1))
        .collect();
    cuts.extend([0, stream.bytes.len()]);
    cuts.sort_unstable();
    for piece in cuts.windows(2) {
        // A gateway that has refused already may have closed.
        let _ = socket.write_all(&stream.bytes[piece[0]..piece[1]]).await;
        tokio::task::yield_now().await;
    }
    let mut said = Vec::new();
    let reading = async {
        while said.windows(6).filter(|window| window == b"answer").count() < answers {
            match socket.read_buf(&mut said).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
    };
    // A stream that ends within a message is answered by nobody: what came by then counts.
    let _ = tokio::time::timeout(Duration::from_millis(500), reading).await;
    let _ = socket.shutdown().await;
    let ending =
        async { while matches!(socket.read_buf(&mut said).await, Ok(read) if read > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(2), ending).await;
}

/// What was seen although nobody sent it, or not in that order. Of what was sent some may be missing: it
/// was sound as a message, and refused for its path.
fn difference(seen: &[Seen], messages: &[Message]) -> Option<String> {
    let mut left = messages.iter();
    seen.iter()
        .find(|seen| !left.any(|message| is_of(seen, message)))
        .map(|seen| format!("the upstream saw {seen:?}, but sent was {messages:?}"))
}

fn is_of(seen: &Seen, message: &Message) -> bool {
    let body = match seen.header("transfer-encoding") {
        Some(_) => reader::unchunked(&seen.body).unwrap_or_default(),
        None => seen.body.clone(),
    };
    seen.line().starts_with(&format!("{} ", message.method)) && body == message.body
}

#[test]
fn an_upstream_sees_what_a_strict_reader_finds() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let given = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if given {
        Config::default().cases
    } else {
        CASES
    };
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let counts = std::cell::Cell::new((0, 0));
    let outcome = TestRunner::new(config).run(&streams(), |stream| {
        runtime.block_on(async {
            let legacy = Scripted::saying("answer").await;
            let stage = Stage::simple(legacy.address).await;
            let messages = reader::read(&stream.bytes);
            send(&stage, &stream, messages.len()).await;
            let seen = legacy.seen();
            let (saw, sent) = counts.get();
            counts.set((saw + seen.len(), sent + messages.len()));
            match difference(&seen, &messages) {
                None => Ok(()),
                Some(difference) => Err(TestCaseError::fail(difference)),
            }
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let (saw, sent) = counts.get();
    assert!(
        saw > sent / 2,
        "only {saw} of {sent} sound requests arrived"
    );
    assert!(
        sent > cases as usize / 2,
        "the streams hold too little: {sent}"
    );
}
