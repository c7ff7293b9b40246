//! Requests of HTTP/2 that are malformed, or would be another message in HTTP/1 (RFC 9113 §8).

use super::raw::{
    DATA, END_HEADERS, END_STREAM, Fate, HEADERS, PROTOCOL_ERROR, Raw, block, frame, get,
};
use crate::scripted::Scripted;
use crate::stage::Stage;

const REFUSED: &[Fate] = &[
    Fate::Reset(PROTOCOL_ERROR),
    Fate::Answered(Some(400)),
    Fate::Answered(Some(404)),
    // What cannot be read at all is an error of the connection.
    Fate::Ended,
];

type Fields = &'static [(&'static str, &'static str)];

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const AUTHORITY: (&str, &str) = (":authority", "shop.example");
const PATH: (&str, &str) = (":path", "/");

const CASES: &[(&str, Fields)] = &[
    ("§8.3.1: no method", &[SCHEME, AUTHORITY, PATH]),
    ("§8.3.1: no scheme", &[METHOD, AUTHORITY, PATH]),
    ("§8.3.1: no path", &[METHOD, SCHEME, AUTHORITY]),
    (
        "§8.3.1: an empty path",
        &[METHOD, SCHEME, AUTHORITY, (":path", "")],
    ),
    (
        "§8.3.1: a path without a slash",
        &[METHOD, SCHEME, AUTHORITY, (":path", "a")],
    ),
    (
        "§8.3.1: an asterisk for a GET",
        &[METHOD, SCHEME, AUTHORITY, (":path", "*")],
    ),
    (
        "§8.3.1: an absolute URI for a path",
        &[
            METHOD,
            SCHEME,
            AUTHORITY,
            (":path", "http://other.example/"),
        ],
    ),
    (
        "a space in the path",
        &[METHOD, SCHEME, AUTHORITY, (":path", "/a b")],
    ),
    (
        "a line break in the path",
        &[METHOD, SCHEME, AUTHORITY, (":path", "/a\r\nb: c")],
    ),
    (
        "a NUL in the path",
        &[METHOD, SCHEME, AUTHORITY, (":path", "/a\0")],
    ),
    (
        "a path above ASCII",
        &[METHOD, SCHEME, AUTHORITY, (":path", "/caf\u{e9}")],
    ),
    (
        "an encoded slash",
        &[METHOD, SCHEME, AUTHORITY, (":path", "/a%2Fb")],
    ),
    (
        "hidden dots",
        &[METHOD, SCHEME, AUTHORITY, (":path", "/a/..%2Fb")],
    ),
    (
        "§8.3.1: another scheme",
        &[METHOD, (":scheme", "ftp"), AUTHORITY, PATH],
    ),
    (
        "a method with a space",
        &[(":method", "GET /"), SCHEME, AUTHORITY, PATH],
    ),
    ("§8.3.1: no host at all", &[METHOD, SCHEME, PATH]),
    (
        "§8.3.1: a Host that is not the authority",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("host", "other.example")],
    ),
    (
        "§8.3.1: a second Host",
        &[
            METHOD,
            SCHEME,
            PATH,
            ("host", "shop.example"),
            ("host", "shop.example"),
        ],
    ),
    (
        "§8.3.1: user information",
        &[METHOD, SCHEME, (":authority", "root@shop.example"), PATH],
    ),
    (
        "§8.3: a doubled pseudo-header",
        &[METHOD, METHOD, SCHEME, AUTHORITY, PATH],
    ),
    (
        "§8.3: an unknown pseudo-header",
        &[METHOD, SCHEME, AUTHORITY, PATH, (":own", "1")],
    ),
    (
        "§8.3: an answer's pseudo-header",
        &[METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")],
    ),
    (
        "§8.3: a pseudo-header behind a field",
        &[METHOD, SCHEME, AUTHORITY, ("a", "b"), PATH],
    ),
    (
        "§8.2.1: upper case in a name",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("X-Own", "1")],
    ),
    (
        "§8.2.1: a space in a name",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("x own", "1")],
    ),
    (
        "§8.2.1: a colon in a name",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("x:y", "1")],
    ),
    (
        "§8.2.1: a line break in a value",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("x", "1\r\ny: 2")],
    ),
    (
        "§8.2.1: a NUL in a value",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("x", "1\0")],
    ),
    (
        "§8.2.1: a value that begins with a space",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("x", " 1")],
    ),
    (
        "§8.2.1: a value that ends with a tab",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("x", "1\t")],
    ),
    (
        "§8.2.2: connection",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("connection", "close")],
    ),
    (
        "§8.2.2: keep-alive",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("keep-alive", "timeout=5")],
    ),
    (
        "§8.2.2: proxy-connection",
        &[
            METHOD,
            SCHEME,
            AUTHORITY,
            PATH,
            ("proxy-connection", "close"),
        ],
    ),
    (
        "§8.2.2: transfer-encoding",
        &[
            METHOD,
            SCHEME,
            AUTHORITY,
            PATH,
            ("transfer-encoding", "chunked"),
        ],
    ),
    (
        "§8.2.2: upgrade",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("upgrade", "websocket")],
    ),
    (
        "§8.2.2: te",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("te", "gzip")],
    ),
    (
        "§8.1.1: a length of text",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("content-length", "x")],
    ),
    (
        "§8.1.1: a length without data",
        &[METHOD, SCHEME, AUTHORITY, PATH, ("content-length", "5")],
    ),
    (
        "§8.1.1: two lengths",
        &[
            METHOD,
            SCHEME,
            AUTHORITY,
            PATH,
            ("content-length", "0"),
            ("content-length", "5"),
        ],
    ),
];

#[tokio::test]
async fn malformed_requests_reach_no_upstream_and_hurt_no_other_stream() {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    for (name, fields) in CASES {
        let mut raw = Raw::open(stage.address, &[]).await;
        let flags = END_HEADERS | END_STREAM;
        raw.send(&frame(HEADERS, flags, 1, &block(fields))).await;
        let fate = raw.fate(1).await;
        assert!(REFUSED.contains(&fate), "{name}: {fate:?}");
        if fate == Fate::Ended {
            raw = Raw::open(stage.address, &[]).await;
        }
        raw.send(&get(3, &[])).await;
        assert_eq!(raw.fate(3).await, Fate::Answered(Some(200)), "after {name}");
    }
    assert_eq!(legacy.count(), CASES.len(), "only the sound ones arrived");
    assert!(
        legacy
            .seen()
            .iter()
            .all(|seen| seen.line() == "GET / HTTP/1.1")
    );
}

#[tokio::test]
async fn data_that_contradicts_the_length_is_never_a_whole_request() {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    for data in ["abc", "abcdefg"] {
        let mut raw = Raw::open(stage.address, &[]).await;
        let fields = [
            (":method", "POST"),
            SCHEME,
            AUTHORITY,
            PATH,
            ("content-length", "5"),
        ];
        raw.send(&frame(HEADERS, END_HEADERS, 1, &block(&fields)))
            .await;
        raw.send(&frame(DATA, END_STREAM, 1, data.as_bytes())).await;
        assert_eq!(raw.fate(1).await, Fate::Reset(PROTOCOL_ERROR), "{data}");
    }
    assert_eq!(stage.get("/", "").await.status(), 200);
    assert_eq!(legacy.count(), 1, "only the last one is a request");
}

#[tokio::test]
async fn a_length_that_http1_might_read_otherwise_is_refused() {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    let cases: [&[&str]; 5] = [
        &["5", "5"],
        &["5", "005"],
        &[""],
        &["", "5"],
        &["5", "5", "5"],
    ];
    for lengths in cases {
        let mut raw = Raw::open(stage.address, &[]).await;
        let mut fields = vec![(":method", "POST"), SCHEME, AUTHORITY, PATH];
        fields.extend(lengths.iter().map(|length| ("content-length", *length)));
        raw.send(&frame(HEADERS, END_HEADERS, 1, &block(&fields)))
            .await;
        raw.send(&frame(DATA, END_STREAM, 1, b"abcde")).await;
        let fate = raw.fate(1).await;
        assert!(REFUSED.contains(&fate), "{lengths:?}: {fate:?}");
    }
    assert_eq!(legacy.count(), 0);
}

#[tokio::test]
async fn no_tunnel_is_made_by_connect() {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    let plain = [(":method", "CONNECT"), (":authority", "other.example:443")];
    let extended = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        SCHEME,
        AUTHORITY,
        PATH,
    ];
    for fields in [&plain[..], &extended[..]] {
        let mut raw = Raw::open(stage.address, &[]).await;
        raw.send(&frame(HEADERS, END_HEADERS, 1, &block(fields)))
            .await;
        let fate = raw.fate(1).await;
        let is_refused = matches!(fate, Fate::Answered(None) | Fate::Reset(_));
        assert!(is_refused, "{fields:?}: {fate:?}");
    }
    assert_eq!(legacy.count(), 0);
}

#[tokio::test]
async fn nothing_of_a_fragment_is_matched_or_forwarded() {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    let mut raw = Raw::open(stage.address, &[]).await;
    let fields = [METHOD, SCHEME, AUTHORITY, (":path", "/a#/../admin")];
    let flags = END_HEADERS | END_STREAM;
    raw.send(&frame(HEADERS, flags, 1, &block(&fields))).await;
    match raw.fate(1).await {
        Fate::Answered(Some(200)) => assert_eq!(legacy.seen()[0].line(), "GET /a HTTP/1.1"),
        fate => assert!(REFUSED.contains(&fate), "{fate:?}"),
    }
}

#[tokio::test]
async fn a_preface_that_comes_in_pieces_is_understood() {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    let mut raw = Raw::silent(stage.address).await;
    for byte in super::raw::PREFACE {
        raw.send(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    raw.send(&frame(super::raw::SETTINGS, 0, 0, &[])).await;
    raw.send(&get(1, &[])).await;
    assert_eq!(raw.fate(1).await, Fate::Answered(Some(200)));
    // What begins alike is HTTP/1 all the same.
    let reply = stage.ask("PRINT / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(reply.status(), 200);
}
