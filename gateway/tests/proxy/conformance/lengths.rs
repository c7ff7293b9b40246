//! How long a body is (RFC 9112 §6.1 to §6.3; RFC 9110 §8.6).

use super::{BAD, Case, Fate, judge};

#[tokio::test]
async fn a_length_is_said_once_and_clearly() {
    judge(LENGTHS).await;
}

const LENGTHS: &[Case] = &[
    Case {
        rfc: "9112 §6.3",
        name: "a body of the length that is said",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        fate: Fate::Passes {
            line: "POST / HTTP/1.1",
            has: &["content-length: 3"],
            lacks: &["transfer-encoding"],
            body: b"abc",
        },
    },
    Case {
        rfc: "9112 §6.3",
        name: "a length of nothing",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        fate: Fate::Passes {
            line: "POST / HTTP/1.1",
            has: &["content-length: 0"],
            lacks: &["transfer-encoding"],
            body: b"",
        },
    },
    Case {
        rfc: "9112 §6.3",
        name: "a body on a GET",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        fate: Fate::Passes {
            line: "GET / HTTP/1.1",
            has: &["content-length: 3"],
            lacks: &[],
            body: b"abc",
        },
    },
    Case {
        rfc: "9112 §6.3",
        name: "a body that looks like a request",
        sent: b"DELETE / HTTP/1.1\r\nhost: a\r\ncontent-length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        fate: Fate::Passes {
            line: "DELETE / HTTP/1.1",
            has: &[],
            lacks: &[],
            body: b"GET / HTTP/1.1\r\n\r\n",
        },
    },
    Case {
        rfc: "9112 §6.3",
        name: "a length and then chunks",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\
                \r\n0\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §6.3",
        name: "chunks and then a length",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\
                \r\n0\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §6.3",
        name: "two lengths that differ",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9112 §6.3",
        name: "two lengths that agree",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nContent-Length: 3\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9112 §6.3",
        name: "lengths in one list",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 3\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9110 §8.6",
        name: "a length with a sign",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9110 §8.6",
        name: "a negative length",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -3\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9110 §8.6",
        name: "a length in hexadecimal digits",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x3\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9110 §8.6",
        name: "a length with a point",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3.0\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9110 §8.6",
        name: "a length with a space in it",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3 3\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9110 §8.6",
        name: "an empty length",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9110 §8.6",
        name: "a length that no number holds",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9112 §6.1",
        name: "a coding that is not the last",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        fate: Fate::Refused(&[400, 501]),
    },
    Case {
        rfc: "9112 §6.1",
        name: "a coding that is not understood",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        fate: Fate::Refused(&[400, 501]),
    },
    Case {
        rfc: "9112 §6.1",
        name: "identity, which is no coding any more",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n",
        fate: Fate::Refused(&[400, 501]),
    },
    Case {
        rfc: "9112 §6.1",
        name: "chunked twice",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\
                transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §6.1",
        name: "chunked twice in one list",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §6.1",
        name: "a vertical tab before the coding",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §6.1",
        name: "a coding in quotes",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        fate: Fate::Refused(&[400, 501]),
    },
    Case {
        rfc: "9112 §6.1",
        name: "something that only begins with chunked",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunkedx\r\n\r\n0\r\n\r\n",
        fate: Fate::Refused(&[400, 501]),
    },
    Case {
        rfc: "9112 §6.1",
        name: "chunks in HTTP/1.0",
        sent: b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        fate: BAD,
    },
];
