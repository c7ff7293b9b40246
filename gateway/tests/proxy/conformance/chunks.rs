//! Chunked bodies (RFC 9112 §7.1).

use super::{Case, Fate, judge};
use crate::scripted::Scripted;
use crate::stage::Stage;

#[tokio::test]
async fn sound_chunks_arrive() {
    judge(SOUND).await;
}

/// The head of a broken message may be on its way to the upstream already: nobody must ever take it for
/// a whole one, and nothing behind it may be read as a request.
#[tokio::test]
async fn broken_chunks_end_the_connection() {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    let head = "POST /broken HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut wrong = Vec::new();
    for (name, chunks) in BROKEN {
        let mut client = stage.connect().await;
        let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let sent = format!("{head}{chunks}{smuggled}");
        client.send(sent.as_bytes()).await;
        let said = client.rest().await;
        let statuses = super::statuses(&String::from_utf8_lossy(&said));
        if !matches!(statuses[..], [] | [400]) {
            wrong.push(format!("{name}: answered {statuses:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let seen = legacy.seen();
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line()).collect();
    assert!(lines.is_empty(), "the upstream took {lines:?} for whole");
}

const fn whole(body: &'static [u8]) -> Fate {
    Fate::Passes {
        line: "POST / HTTP/1.1",
        has: &["transfer-encoding: chunked"],
        lacks: &["content-length"],
        body,
    }
}

const SOUND: &[Case] = &[
    Case {
        rfc: "9112 §7.1",
        name: "one chunk",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                3\r\nabc\r\n0\r\n\r\n",
        fate: whole(b"3\r\nabc\r\n0\r\n\r\n"),
    },
    Case {
        rfc: "9112 §7.1",
        name: "no chunk but the last",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        fate: whole(b"0\r\n\r\n"),
    },
    Case {
        rfc: "9112 §7.1",
        name: "a size in capital digits with zeros before it",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                000A\r\n0123456789\r\n0\r\n\r\n",
        fate: whole(b"A\r\n0123456789\r\n0\r\n\r\n"),
    },
    Case {
        rfc: "9112 §7.1.1",
        name: "an extension goes no further",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                3;a=b\r\nabc\r\n0;c\r\n\r\n",
        fate: whole(b"3\r\nabc\r\n0\r\n\r\n"),
    },
    Case {
        rfc: "9112 §7.1",
        name: "a coding in capitals",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
                3\r\nabc\r\n0\r\n\r\n",
        fate: whole(b"3\r\nabc\r\n0\r\n\r\n"),
    },
    Case {
        rfc: "9112 §7.1",
        name: "line breaks within a chunk are its content",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                4\r\na\r\nb\r\n0\r\n\r\n",
        fate: whole(b"4\r\na\r\nb\r\n0\r\n\r\n"),
    },
];

/// What follows a sound head.
const BROKEN: &[(&str, &str)] = &[
    ("a size that is no number", "x\r\nabc\r\n0\r\n\r\n"),
    ("no size", "\r\nabc\r\n0\r\n\r\n"),
    ("a negative size", "-3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a sign", "+3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("a size with an underscore", "0_3\r\nabc\r\n0\r\n\r\n"),
    ("a space before the size", " 3\r\nabc\r\n0\r\n\r\n"),
    ("a space behind the size", "3 \r\nabc\r\n0\r\n\r\n"),
    ("a space before the extension", "3 ;a=b\r\nabc\r\n0\r\n\r\n"),
    (
        "a size that no number holds",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a size that wraps to 3",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
    ),
    ("LF alone behind the size", "3\nabc\r\n0\r\n\r\n"),
    ("CR alone behind the size", "3\rabc\r\n0\r\n\r\n"),
    ("LF alone behind the chunk", "3\r\nabc\n0\r\n\r\n"),
    ("nothing behind the chunk", "3\r\nabc0\r\n\r\n"),
    ("more than its size", "3\r\nabcd\r\n0\r\n\r\n"),
    ("less than its size", "4\r\nabc\r\n0\r\n\r\n"),
    ("LF alone in an extension", "3;a\nabc\r\n0\r\n\r\n"),
    ("LF alone behind the last chunk", "3\r\nabc\r\n0\n\r\n"),
    ("LF alone at the end", "3\r\nabc\r\n0\r\n\n"),
    (
        "a trailer that ends in LF alone",
        "3\r\nabc\r\n0\r\nx: y\n\r\n",
    ),
    ("a trailer without a name", "3\r\nabc\r\n0\r\n: y\r\n\r\n"),
    (
        "a trailer that is continued",
        "3\r\nabc\r\n0\r\nx: y\r\n z\r\n\r\n",
    ),
];
