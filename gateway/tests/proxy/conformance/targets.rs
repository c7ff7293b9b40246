//! Request targets (RFC 9112 §3.2) and what they are compared by (RFC 3986 §6.2.2).

use super::{BAD, Case, Fate, arrives, judge};

#[tokio::test]
async fn targets_are_read_in_one_way() {
    judge(CASES).await;
}

const CASES: &[Case] = &[
    Case {
        rfc: "9112 §3.2.1",
        name: "a path and a query",
        sent: b"GET /a/b?c=d&e HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("GET /a/b?c=d&e HTTP/1.1"),
    },
    Case {
        rfc: "9112 §3.2.1",
        name: "an empty query",
        sent: b"GET /a? HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("GET /a? HTTP/1.1"),
    },
    Case {
        rfc: "9112 §3.2.1",
        name: "a query is nobody's path",
        sent: b"GET /a?b=/../c//d%2F HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("GET /a?b=/../c//d%2F HTTP/1.1"),
    },
    Case {
        rfc: "9112 §3.2.2",
        name: "an absolute form",
        sent: b"GET http://shop.example/a HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        fate: Fate::Passes {
            line: "GET /a HTTP/1.1",
            has: &["host: shop.example"],
            lacks: &[],
            body: b"",
        },
    },
    Case {
        rfc: "9112 §3.2.2",
        name: "the host of an absolute form wins",
        sent: b"GET http://shop.example/a HTTP/1.1\r\nhost: other.example\r\n\r\n",
        fate: Fate::Passes {
            line: "GET /a HTTP/1.1",
            has: &["host: shop.example"],
            lacks: &["host: other"],
            body: b"",
        },
    },
    Case {
        rfc: "9112 §3.2.2",
        name: "an absolute form without a path",
        sent: b"GET http://shop.example HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        fate: arrives("GET / HTTP/1.1"),
    },
    Case {
        rfc: "9112 §3.2.2",
        name: "an absolute form with user information",
        sent: b"GET http://root@shop.example/a HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "a path without its slash",
        sent: b"GET a HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "a fragment is no part of a target",
        sent: b"GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "a fragment behind a query",
        sent: b"GET /a?b#c HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "a byte above ASCII",
        sent: b"GET /caf\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "DEL",
        sent: b"GET /a\x7f HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "3986 §2",
        name: "a backslash",
        sent: b"GET /a\\b HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: Fate::Answered(400),
    },
    Case {
        rfc: "3986 §2.1",
        name: "a percent sign without digits",
        sent: b"GET /a%2 HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: Fate::Answered(400),
    },
    Case {
        rfc: "3986 §2.1",
        name: "a percent sign with other letters",
        sent: b"GET /a%zz HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: Fate::Answered(400),
    },
    Case {
        rfc: "3986 §2.1",
        name: "an encoded slash",
        sent: b"GET /a%2Fb HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: Fate::Answered(400),
    },
    Case {
        rfc: "3986 §2.1",
        name: "an encoded NUL",
        sent: b"GET /a%00 HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: Fate::Answered(400),
    },
    Case {
        rfc: "3986 §6.2.2.3",
        name: "dot segments",
        sent: b"GET /a/./b/../c HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("GET /a/c HTTP/1.1"),
    },
    Case {
        rfc: "3986 §6.2.2.3",
        name: "dots that are encoded",
        sent: b"GET /a/%2e%2e/b HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("GET /b HTTP/1.1"),
    },
    Case {
        rfc: "3986 §6.2.2.3",
        name: "more dots than there are segments",
        sent: b"GET /../../a HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("GET /a HTTP/1.1"),
    },
    Case {
        rfc: "3986 §6.2.2.2",
        name: "letters that need not be encoded",
        sent: b"GET /%61%2d%7E HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("GET /a-~ HTTP/1.1"),
    },
    Case {
        rfc: "3986 §6.2.2.1",
        name: "digits of an encoding in lower case",
        sent: b"GET /a%c3%a9 HTTP/1.1\r\nhost: a\r\n\r\n",
        fate: arrives("GET /a%C3%A9 HTTP/1.1"),
    },
];
