//! Methods, versions and the life of a connection (RFC 9110 §9, RFC 9112 §9).

use super::{BAD, Case, Fate, arrives, carries, case, judge};

#[tokio::test]
async fn methods_are_the_upstreams_affair() {
    judge(METHODS).await;
}

#[tokio::test]
async fn a_connection_lives_as_long_as_both_want() {
    judge(CONNECTIONS).await;
}

const METHODS: &[Case] = &[
    case(
        "9110 §9.3.2",
        "HEAD",
        b"HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("HEAD /a HTTP/1.1"),
    ),
    case(
        "9110 §9.3.7",
        "OPTIONS",
        b"OPTIONS /a HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("OPTIONS /a HTTP/1.1"),
    ),
    case(
        "9110 §9.3.5",
        "DELETE with a body",
        b"DELETE /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        Fate::Passes {
            line: "DELETE /a HTTP/1.1",
            has: &[],
            lacks: &[],
            body: b"abc",
        },
    ),
    case(
        "5789 §2",
        "PATCH",
        b"PATCH /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        Fate::Passes {
            line: "PATCH /a HTTP/1.1",
            has: &[],
            lacks: &[],
            body: b"abc",
        },
    ),
    case(
        "9110 §9.3.7",
        "OPTIONS with a body",
        b"OPTIONS /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        Fate::Passes {
            line: "OPTIONS /a HTTP/1.1",
            has: &[],
            lacks: &[],
            body: b"abc",
        },
    ),
    case(
        "9110 §9.1",
        "a method with a hyphen",
        b"M-SEARCH /a HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("M-SEARCH /a HTTP/1.1"),
    ),
    case(
        "9110 §9.1",
        "a method that looks like a known one",
        b"GETS /a HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GETS /a HTTP/1.1"),
    ),
    case(
        "9112 §3.2.4",
        "the server as a whole",
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "9112 §3.2.4",
        "an asterisk for another method",
        b"GET * HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "9110 §7.6.2",
        "OPTIONS that may go no further",
        b"OPTIONS /a HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\n\r\n",
        Fate::Answered(204),
    ),
    case(
        "9110 §7.6.2",
        "OPTIONS that may go one further",
        b"OPTIONS /a HTTP/1.1\r\nhost: a\r\nmax-forwards: 1\r\n\r\n",
        carries("OPTIONS /a HTTP/1.1", &["max-forwards: 0"], &[]),
    ),
    case(
        "9110 §7.6.2",
        "OPTIONS that may go far",
        b"OPTIONS /a HTTP/1.1\r\nhost: a\r\nmax-forwards: 0070\r\n\r\n",
        carries("OPTIONS /a HTTP/1.1", &["max-forwards: 69"], &[]),
    ),
    case(
        "9110 §7.6.2",
        "TRACE that may go no further",
        b"TRACE /a HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\n\r\n",
        Fate::Answered(405),
    ),
    case(
        "9110 §7.6.2",
        "Max-Forwards says nothing to other methods",
        b"GET /a HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\n\r\n",
        carries("GET /a HTTP/1.1", &["max-forwards: 0"], &[]),
    ),
    case(
        "9110 §7.6.2",
        "Max-Forwards that is no number",
        b"OPTIONS /a HTTP/1.1\r\nhost: a\r\nmax-forwards: many\r\n\r\n",
        carries("OPTIONS /a HTTP/1.1", &["max-forwards: many"], &[]),
    ),
];

const CONNECTIONS: &[Case] = &[
    case("9112 §9.6", "close", b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", Fate::Last { line: "GET /a HTTP/1.1", has: &[], lacks: &[] }),
    case("9112 §9.6", "close in capitals", b"GET /a HTTP/1.1\r\nhost: a\r\nConnection: CLOSE\r\n\r\n", Fate::Last { line: "GET /a HTTP/1.1", has: &[], lacks: &[] }),
    case("9112 §9.6", "close in a list", b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: x, close\r\nx: y\r\n\r\n", Fate::Last { line: "GET /a HTTP/1.1", has: &[], lacks: &["x:"] }),
    case("9112 §9.6", "close in a second field", b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: x\r\nconnection: close\r\n\r\n", Fate::Last { line: "GET /a HTTP/1.1", has: &[], lacks: &[] }),
    case("9112 §9.3", "keep-alive goes without saying", b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\n\r\n", carries("GET /a HTTP/1.1", &[], &["keep-alive:"])),
    case("9112 §C.2.2", "HTTP/1.0 ends with its answer", b"GET /a HTTP/1.0\r\nhost: a\r\n\r\n", Fate::Last { line: "GET /a HTTP/1.1", has: &["via: 1.0"], lacks: &[] }),
    case("9112 §C.2.2", "HTTP/1.0 without a Host", b"GET /a HTTP/1.0\r\n\r\n", Fate::Last { line: "GET /a HTTP/1.1", has: &[], lacks: &[] }),
    case("9112 §C.2.2", "HTTP/1.0 that asks to go on", b"GET /a HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n", arrives("GET /a HTTP/1.1")),
    case("9112 §2.2", "two empty lines before a request", b"\r\n\r\nGET /a HTTP/1.1\r\nhost: a\r\n\r\n", arrives("GET /a HTTP/1.1")),
    case("9112 §2.2", "an empty line that ends in LF alone", b"\nGET /a HTTP/1.1\r\nhost: a\r\n\r\n", BAD),
    case("9112 §2.2", "a line of a space before a request", b" \r\nGET /a HTTP/1.1\r\nhost: a\r\n\r\n", BAD),
    case("9110 §10.1.1", "an expectation of a body", b"POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc", Fate::Passes { line: "POST /a HTTP/1.1", has: &[], lacks: &["expect:"], body: b"abc" }),
    case("9110 §10.1.1", "an expectation in capitals", b"POST /a HTTP/1.1\r\nhost: a\r\nExpect: 100-CONTINUE\r\ncontent-length: 3\r\n\r\nabc", Fate::Passes { line: "POST /a HTTP/1.1", has: &[], lacks: &["expect:"], body: b"abc" }),
    case("9110 §10.1.1", "an expectation without a body", b"GET /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n", arrives("GET /a HTTP/1.1")),
    case("9110 §10.1.1", "an expectation of more", b"GET /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue, x\r\n\r\n", Fate::Answered(417)),
    case("9110 §7.8", "an upgrade that Connection does not name", b"GET /a HTTP/1.1\r\nhost: a\r\nupgrade: echo\r\n\r\n", Fate::Last { line: "GET /a HTTP/1.1", has: &[], lacks: &["upgrade:"] }),
    case("9113 §3.1", "an upgrade to HTTP/2 in clear text", b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n", Fate::Last { line: "GET /a HTTP/1.1", has: &[], lacks: &["upgrade:", "http2-settings:", "connection: upgrade"] }),
];
