//! How much a client may send before it is told that it is too much (RFC 9110 §15.5.15, RFC 6585 §5).

use super::{SMUGGLED, statuses};
use crate::scripted::Scripted;
use crate::stage::Stage;

#[tokio::test]
async fn what_is_too_large_is_refused_and_ends_the_connection() {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    let many: String = (0..200)
        .map(|number| format!("x-{number}: y\r\n"))
        .collect();
    let long = "x".repeat(70 * 1024);
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let cases = [
        (
            "a long target",
            format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
            &[414, 431][..],
        ),
        (
            "a long method",
            format!("{long} / HTTP/1.1\r\nhost: a\r\n\r\n"),
            &[400, 431, 501],
        ),
        (
            "a long value",
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"),
            &[431],
        ),
        (
            "a long name",
            format!("GET / HTTP/1.1\r\nhost: a\r\n{long}: y\r\n\r\n"),
            &[400, 431],
        ),
        (
            "many fields",
            format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"),
            &[431],
        ),
        (
            "a long chunk extension",
            format!("{chunked}3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(300)),
            &[400],
        ),
        (
            "long trailers",
            format!("{chunked}3\r\nabc\r\n0\r\nx: {long}\r\n\r\n"),
            &[400, 431],
        ),
    ];
    for (name, request, allowed) in cases {
        let mut client = stage.connect().await;
        client.send(&[request.as_bytes(), SMUGGLED].concat()).await;
        let statuses = statuses(&String::from_utf8_lossy(&client.rest().await));
        // Behind a head the connection may end without an answer.
        let is_told = matches!(statuses[..], [one] if allowed.contains(&one));
        let may_be_silent = request.starts_with(chunked) && statuses.is_empty();
        assert!(is_told || may_be_silent, "{name}: answered {statuses:?}");
    }
    let seen = legacy.seen();
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line()).collect();
    assert!(lines.is_empty(), "the upstream saw {lines:?}");
}
