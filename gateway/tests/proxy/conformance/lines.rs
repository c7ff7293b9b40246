//! Request lines and line breaks (RFC 9112 §2 and §3).

use super::{BAD, Case, Fate, arrives, judge};

#[tokio::test]
async fn request_lines_are_read_strictly() {
    judge(CASES).await;
}

const CASES: &[Case] = &[
    Case {
        rfc: "9112 §2.2",
        name: "an empty line before the request is passed over",
        sent: b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("GET / HTTP/1.1"),
    },
    Case {
        rfc: "9112 §2.2",
        name: "a request line that ends in LF alone",
        sent: b"GET / HTTP/1.1\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §2.2",
        name: "a header line that ends in LF alone",
        sent: b"GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §2.2",
        name: "a head that ends in LF alone",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\n\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §2.2",
        name: "LF alone everywhere",
        sent: b"GET / HTTP/1.1\nhost: a\n\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §2.2",
        name: "a CR alone within a value",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx: y\rz\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §2.2",
        name: "a CR alone at the end of a line",
        sent: b"GET / HTTP/1.1\r\nhost: a\rx: y\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §2.2",
        name: "a CR alone in the request line",
        sent: b"GET /\rx HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §2.2",
        name: "two CRs before the LF",
        sent: b"GET / HTTP/1.1\r\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §2.2",
        name: "a space between the request line and the first header",
        sent: b"GET / HTTP/1.1\r\n host: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3",
        name: "two spaces behind the method",
        sent: b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3",
        name: "two spaces before the version",
        sent: b"GET /  HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3",
        name: "a tab behind the method",
        sent: b"GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3",
        name: "a space before the method",
        sent: b" GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3",
        name: "a space behind the version",
        sent: b"GET / HTTP/1.1 \r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3",
        name: "no version, as in HTTP/0.9",
        sent: b"GET /\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3",
        name: "nothing but a method",
        sent: b"GET\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.1",
        name: "a method with a character that no token has",
        sent: b"GE(T / HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.1",
        name: "a method of one's own",
        sent: b"BREW / HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("BREW / HTTP/1.1"),
    },
    Case {
        rfc: "9110 §9.1",
        name: "methods are told apart by their case",
        sent: b"get / HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("get / HTTP/1.1"),
    },
    Case {
        rfc: "9112 §2.3",
        name: "another name of the protocol",
        sent: b"GET / HTTQ/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §2.3",
        name: "the protocol in lower case",
        sent: b"GET / http/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §2.3",
        name: "a version with two digits",
        sent: b"GET / HTTP/1.10\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9110 §15.6.6",
        name: "a major version that is not spoken here",
        sent: b"GET / HTTP/3.0\r\nhost: a\r\n\r\n",
        fate: Fate::Refused(&[400, 505]),
    },
    Case {
        rfc: "9112 §2.3",
        name: "a version without its point",
        sent: b"GET / HTTP/11\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9113 §3.4",
        name: "the preface of HTTP/2 where it is not spoken",
        sent: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        fate: Fate::Closed,
    },
    Case {
        rfc: "9112 §2.2",
        name: "a NUL in the request line",
        sent: b"GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9110 §9.3.6",
        name: "CONNECT is for forward proxies",
        sent: b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
        fate: Fate::Answered(405),
    },
];
