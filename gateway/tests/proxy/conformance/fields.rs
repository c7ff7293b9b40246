//! Header fields (RFC 9112 §5; RFC 9110 §5, §7.6).

use super::{BAD, Case, Fate, arrives, judge};

#[tokio::test]
async fn header_fields_are_read_strictly() {
    judge(FIELDS).await;
}

#[tokio::test]
async fn what_belongs_to_a_connection_stays_on_it() {
    judge(HOPS).await;
}

const FIELDS: &[Case] = &[
    Case {
        rfc: "9112 §5.1",
        name: "a space before the colon",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §5.1",
        name: "a tab before the colon",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx\t: y\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §5.1",
        name: "a space before the colon of a length",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length : 3\r\n\r\nabc",
        fate: BAD,
    },
    Case {
        rfc: "9112 §5.1",
        name: "a field without a name",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\n: y\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §5",
        name: "a field without a colon",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx y\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §5.2",
        name: "a line that is continued by a space",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §5.2",
        name: "a line that is continued by a tab",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\tz\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §5.2",
        name: "a transfer coding behind a line break",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9110 §5.1",
        name: "a name with a parenthesis",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx(: y\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9110 §5.1",
        name: "a name with a byte above ASCII",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx\xe4: y\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9110 §5.5",
        name: "a NUL in a value",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx: y\0z\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9110 §5.5",
        name: "a control character in a value",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx: y\x01z\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9110 §5.5",
        name: "DEL in a value",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx: y\x7fz\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9110 §5.5",
        name: "bytes above ASCII in a value are opaque",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx: caf\xc3\xa9\r\n\r\n",
        fate: arrives("GET / HTTP/1.1"),
    },
    Case {
        rfc: "9110 §5.5",
        name: "white space around a value is not part of it",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx: \t y \t\r\n\r\n",
        fate: Fate::Passes {
            line: "GET / HTTP/1.1",
            has: &["x: y"],
            lacks: &["x: y ", "x: y\t"],
            body: b"",
        },
    },
    Case {
        rfc: "9110 §5.5",
        name: "an empty value",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx:\r\n\r\n",
        fate: Fate::Passes {
            line: "GET / HTTP/1.1",
            has: &["x:"],
            lacks: &[],
            body: b"",
        },
    },
    Case {
        rfc: "9110 §5.3",
        name: "the order of a repeated field",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\n\r\n",
        fate: Fate::Passes {
            line: "GET / HTTP/1.1",
            has: &["x: 1", "x: 2"],
            lacks: &[],
            body: b"",
        },
    },
    Case {
        rfc: "9112 §3.2",
        name: "no Host",
        sent: b"GET / HTTP/1.1\r\nx: y\r\n\r\n",
        fate: Fate::Refused(&[400]),
    },
    Case {
        rfc: "9112 §3.2",
        name: "two Hosts",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "the same Host twice",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "a Host with a path",
        sent: b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "a Host with user information",
        sent: b"GET / HTTP/1.1\r\nhost: root@a\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "a Host with a space",
        sent: b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "a Host that is a list",
        sent: b"GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9112 §3.2",
        name: "a Host with a port that is no number",
        sent: b"GET / HTTP/1.1\r\nhost: a:x\r\n\r\n",
        fate: BAD,
    },
    Case {
        rfc: "9110 §10.1.1",
        name: "an expectation that nobody knows",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\n\r\n",
        fate: Fate::Answered(417),
    },
];

const HOPS: &[Case] = &[
    Case {
        rfc: "9110 §7.6.1",
        name: "what Connection names",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nconnection: x-mine\r\nx-mine: 1\r\nx-own: 2\r\n\r\n",
        fate: Fate::Passes {
            line: "GET / HTTP/1.1",
            has: &["x-own: 2"],
            lacks: &["x-mine", "connection: x-mine"],
            body: b"",
        },
    },
    Case {
        rfc: "9110 §7.6.1",
        name: "Connection cannot take the Host away",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nconnection: host\r\n\r\n",
        fate: Fate::Passes {
            line: "GET / HTTP/1.1",
            has: &["host: a"],
            lacks: &["connection: host"],
            body: b"",
        },
    },
    Case {
        rfc: "9110 §7.6.1",
        name: "Connection cannot take a length away",
        sent: b"POST / HTTP/1.1\r\nhost: a\r\nconnection: content-length\r\ncontent-length: 3\r\n\
                \r\nabc",
        fate: Fate::Passes {
            line: "POST / HTTP/1.1",
            has: &["content-length: 3"],
            lacks: &[],
            body: b"abc",
        },
    },
    Case {
        rfc: "9110 §7.6.1",
        name: "Connection cannot take the gateway's own words away",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nconnection: x-forwarded-for, via\r\n\r\n",
        fate: Fate::Passes {
            line: "GET / HTTP/1.1",
            has: &["x-forwarded-for: 127.0.0.1", "via: 1.1 banyan"],
            lacks: &[],
            body: b"",
        },
    },
    Case {
        rfc: "9110 §7.6.1",
        name: "fields of old proxies",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nkeep-alive: 5\r\nproxy-connection: keep-alive\r\n\
                te: gzip\r\n\r\n",
        fate: Fate::Passes {
            line: "GET / HTTP/1.1",
            has: &[],
            lacks: &["keep-alive", "proxy-connection", "te:"],
            body: b"",
        },
    },
    Case {
        rfc: "9110 §7.6.3",
        name: "Via goes on",
        sent: b"GET / HTTP/1.1\r\nhost: a\r\nvia: 1.0 fred\r\n\r\n",
        fate: Fate::Passes {
            line: "GET / HTTP/1.1",
            has: &["via: 1.0 fred", "via: 1.1 banyan"],
            lacks: &[],
            body: b"",
        },
    },
];
