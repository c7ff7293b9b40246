//! Behind the answer's head: what fails here ends the client's connection, and never ends well.

use super::wild::Step::{Close, Early, Reset, Say, Stall};
use super::{Breaker, Case, Gets, HEAD, fails, judge, passes};

const BROKEN: Gets = Gets::Broken(200);

#[tokio::test]
async fn a_body_that_breaks_off_never_ends_well() {
    judge(BREAKS).await;
}

#[tokio::test]
async fn what_comes_beside_an_answer_reaches_nobody() {
    judge(BESIDE).await;
}

const BREAKS: &[Case] = &[
    fails(
        "half a body and a stall",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), Stall],
        BROKEN,
    ),
    fails(
        "half a body and the end",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), Close],
        BROKEN,
    ),
    fails(
        "half a body and a reset",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), Reset],
        BROKEN,
    ),
    fails(
        "no body and a stall",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"), Stall],
        BROKEN,
    ),
    fails(
        "half a chunk's size and a stall",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1"), Stall],
        BROKEN,
    ),
    fails(
        "half a chunk and a stall",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf"), Stall],
        BROKEN,
    ),
    fails(
        "half a chunk and the end",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf"), Close],
        BROKEN,
    ),
    fails(
        "half a chunk and a reset",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf"), Reset],
        BROKEN,
    ),
    fails(
        "chunks without the last one",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"), Close],
        BROKEN,
    ),
    fails(
        "the last chunk without its end",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"), Stall],
        BROKEN,
    ),
    fails(
        "a stall within the trailers",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-su"), Stall],
        BROKEN,
    ),
    fails(
        "the end within the trailers",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-su"), Close],
        BROKEN,
    ),
    fails(
        "a stall between trailers",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n"), Stall],
        BROKEN,
    ),
    fails(
        "a reset of a body that the end should end",
        &[Say(b"HTTP/1.1 200 OK\r\n\r\nhalf"), Reset],
        BROKEN,
    ),
    fails(
        "a stall of a body that the end should end",
        &[Say(b"HTTP/1.1 200 OK\r\n\r\nhalf"), Stall],
        BROKEN,
    ),
    fails(
        "a chunk's size that is no number",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\nok\r\n0\r\n\r\n")],
        BROKEN,
    ),
    fails(
        "a negative chunk",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n")],
        BROKEN,
    ),
    fails(
        "a chunk beyond all numbers",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nok")],
        BROKEN,
    ),
    fails(
        "a chunk that is longer than its size",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n")],
        BROKEN,
    ),
    fails(
        "a chunk without a size",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\nok\r\n0\r\n\r\n")],
        BROKEN,
    ),
];

const SURPLUS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\
    HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nnobody's";

const BESIDE: &[Case] = &[
    passes("a second answer", &[Say(SURPLUS)], "ok"),
    passes(
        "more than its length",
        &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more")],
        "ok",
    ),
    passes(
        "more than its chunks",
        &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nand more")],
        "ok",
    ),
    passes(
        "an answer before the request is read",
        &[
            Early,
            Say(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"),
            Stall,
        ],
        "ok",
    ),
    Case {
        name: "a body beside the answer to a HEAD",
        asks: HEAD,
        does: &[Say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")],
        gets: Gets::Whole(200, ""),
        breaker: Breaker::Ignores,
    },
    Case {
        name: "chunks beside the answer to a HEAD",
        asks: HEAD,
        does: &[Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")],
        gets: Gets::Whole(200, ""),
        breaker: Breaker::Ignores,
    },
    Case {
        gets: Gets::Whole(204, ""),
        ..passes(
            "a body beside 204",
            &[Say(b"HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok")],
            "",
        )
    },
    Case {
        gets: Gets::Whole(304, ""),
        ..passes(
            "a body beside 304",
            &[Say(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\nok")],
            "",
        )
    },
    Case {
        gets: Gets::Whole(204, ""),
        ..passes(
            "chunks beside 204",
            &[Say(b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")],
            "",
        )
    },
];
