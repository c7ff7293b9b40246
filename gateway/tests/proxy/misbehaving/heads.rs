//! Before the answer's head is complete: what fails here is a problem of the gateway's own.

use super::wild::Step::{Close, Repeat, Reset, Say, Stall};
use super::{BAD, Breaker, Case, GET, GONE, Gets, LATE, UPGRADE, fails, judge, passes};

#[tokio::test]
async fn a_head_that_does_not_come_is_a_problem() {
    judge(BREAKS).await;
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_a_problem() {
    judge(AMBIGUOUS).await;
}

#[tokio::test]
async fn what_is_no_answer_is_a_problem() {
    judge(BABBLE).await;
}

const BREAKS: &[Case] = &[
    fails("says nothing", &[Stall], LATE),
    fails(
        "says half a status line and stalls",
        &[Say(b"HTTP/1.1 2"), Stall],
        LATE,
    ),
    fails(
        "says half a head and stalls",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-le"), Stall],
        LATE,
    ),
    fails(
        "says an interim answer and stalls",
        &[
            Say(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
            Stall,
        ],
        LATE,
    ),
    fails("closes at once", &[Close], GONE),
    fails("resets at once", &[Reset], GONE),
    fails(
        "closes within the status line",
        &[Say(b"HTTP/1.1 2"), Close],
        GONE_OR_BAD,
    ),
    fails(
        "resets within the status line",
        &[Say(b"HTTP/1.1 2"), Reset],
        GONE_OR_BAD,
    ),
    fails(
        "closes within the head",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-le"), Close],
        GONE_OR_BAD,
    ),
    fails(
        "resets within the head",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-le"), Reset],
        GONE_OR_BAD,
    ),
    fails(
        "closes behind an interim answer",
        &[Say(b"HTTP/1.1 103 Early Hints\r\n\r\n"), Close],
        GONE_OR_BAD,
    ),
    passes(
        "a few interim answers",
        &[
            Repeat(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", 20),
            Say(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"),
        ],
        "ok",
    ),
    fails(
        "interim answers without end",
        &[Repeat(
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
            usize::MAX,
        )],
        BAD,
    ),
    fails(
        "100 without end",
        &[Repeat(b"HTTP/1.1 100 Continue\r\n\r\n", usize::MAX)],
        BAD,
    ),
    fails(
        "a head without end",
        &[
            Say(b"HTTP/1.1 200 OK\r\n"),
            Repeat(b"x: yyyyyyyyyyyyyyyyyyyyy\r\n", usize::MAX),
        ],
        BAD,
    ),
    fails(
        "a line without end",
        &[
            Say(b"HTTP/1.1 200 OK\r\nx: "),
            Repeat(b"yyyyyyyyyyyyyyyy", usize::MAX),
        ],
        BAD,
    ),
    fails(
        "a status line without end",
        &[
            Say(b"HTTP/1.1 200 "),
            Repeat(b"yyyyyyyyyyyyyyyy", usize::MAX),
        ],
        BAD,
    ),
];

/// Which of both is a matter of when the end is seen.
const GONE_OR_BAD: Gets = Gets::Problem(502, "code");

const AMBIGUOUS: &[Case] = &[
    fails(
        "a length beside chunks",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")],
        BAD,
    ),
    fails(
        "chunks beside a length",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n2\r\nok\r\n0\r\n\r\n")],
        BAD,
    ),
    fails(
        "two lengths that differ",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 5\r\n\r\nok")],
        BAD,
    ),
    fails(
        "the same length twice",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok")],
        BAD,
    ),
    fails(
        "the same length twice in a list",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok")],
        BAD,
    ),
    fails(
        "a signed length",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok")],
        BAD,
    ),
    fails(
        "a length beyond all numbers",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok")],
        BAD,
    ),
    fails(
        "a coding that is not known",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), Close],
        BAD,
    ),
    fails(
        "a coding around the chunks",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")],
        BAD,
    ),
    fails(
        "chunks that are not the last coding",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n"), Close],
        BAD,
    ),
    fails(
        "chunks twice",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")],
        BAD,
    ),
    fails(
        "chunks in HTTP/1.0",
        &[Say(b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), Close],
        BAD,
    ),
    fails(
        "a folded line",
        &[Say(b"HTTP/1.1 200 OK\r\nx: y\r\n z\r\ncontent-length: 2\r\n\r\nok")],
        BAD,
    ),
    fails(
        "a folded first line",
        &[Say(b"HTTP/1.1 200 OK\r\n x: y\r\ncontent-length: 2\r\n\r\nok")],
        BAD,
    ),
    fails(
        "space before the colon",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok")],
        BAD,
    ),
    fails(
        "a bare CR in a value",
        &[Say(b"HTTP/1.1 200 OK\r\nx: y\rz\r\ncontent-length: 2\r\n\r\nok")],
        BAD,
    ),
    fails(
        "a NUL in a value",
        &[Say(b"HTTP/1.1 200 OK\r\nx: y\0z\r\ncontent-length: 2\r\n\r\nok")],
        BAD,
    ),
    fails(
        "a name with a space",
        &[Say(b"HTTP/1.1 200 OK\r\nx y: z\r\ncontent-length: 2\r\n\r\nok")],
        BAD,
    ),
    fails(
        "no name",
        &[Say(b"HTTP/1.1 200 OK\r\n: z\r\ncontent-length: 2\r\n\r\nok")],
        BAD,
    ),
];

const BABBLE: &[Case] = &[
    fails("HTTP/0.9", &[Say(b"<html>hello</html>"), Close], BAD),
    fails("another protocol", &[Say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Close], BAD),
    fails("HTTP/2 unasked", &[Say(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), Close], BAD),
    fails(
        "TLS",
        &[Say(b"\x15\x03\x01\x00\x02\x02\x46"), Close],
        BAD,
    ),
    fails("garbage", &[Say(b"\x89\xff\xfe\x00\x01\r\n\r\n"), Close], BAD),
    fails("HTTP/3.0", &[Say(b"HTTP/3.0 200 OK\r\ncontent-length: 2\r\n\r\nok")], BAD),
    fails("a status of two digits", &[Say(b"HTTP/1.1 20 OK\r\n\r\n"), Close], BAD),
    fails("a status of four digits", &[Say(b"HTTP/1.1 2000 OK\r\n\r\n"), Close], BAD),
    fails("no status", &[Say(b"HTTP/1.1 OK\r\n\r\n"), Close], BAD),
    fails(
        "two hundred fields",
        &[Say(b"HTTP/1.1 200 OK\r\n"), Repeat(b"x: y\r\n", 200), Say(b"\r\n"), Stall],
        BAD,
    ),
    fails(
        "a switch of protocols that nobody asked for",
        &[Say(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\nhello")],
        BAD,
    ),
    Case {
        name: "a switch to another protocol than was asked for",
        asks: UPGRADE,
        does: &[Say(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: shell\r\n\r\nhello")],
        gets: BAD,
        breaker: Breaker::Counts,
    },
    Case {
        name: "a switch that does not say to what",
        asks: UPGRADE,
        does: &[Say(b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello")],
        gets: BAD,
        breaker: Breaker::Counts,
    },
    Case {
        name: "lines that end without CR are read as lines",
        asks: GET,
        does: &[Say(b"HTTP/1.1 200 OK\nconnection: close\ncontent-length: 2\n\nok")],
        gets: Gets::Whole(200, "ok"),
        breaker: Breaker::Ignores,
    },
];
