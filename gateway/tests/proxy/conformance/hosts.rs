//! Whom a request is for (RFC 9112 §3.2; RFC 9110 §7.2).

use super::{BAD, Case, arrives, carries, case, judge};

#[tokio::test]
async fn a_request_is_for_one_host() {
    judge(HOSTS).await;
}

const HOSTS: &[Case] = &[
    case(
        "9110 §7.2",
        "a host and a port",
        b"GET /a HTTP/1.1\r\nhost: shop.example:8080\r\n\r\n",
        carries("GET /a HTTP/1.1", &["host: shop.example:8080"], &[]),
    ),
    case(
        "9110 §7.2",
        "an address of version 6",
        b"GET /a HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
        carries("GET /a HTTP/1.1", &["host: [::1]:80"], &[]),
    ),
    case(
        "9110 §7.2",
        "an address of version 6 without a port",
        b"GET /a HTTP/1.1\r\nhost: [2001:db8::1]\r\n\r\n",
        arrives("GET /a HTTP/1.1"),
    ),
    case(
        "9110 §4.2.1",
        "an empty port",
        b"GET /a HTTP/1.1\r\nhost: shop.example:\r\n\r\n",
        arrives("GET /a HTTP/1.1"),
    ),
    case(
        "9110 §7.2",
        "a host in capitals",
        b"GET /a HTTP/1.1\r\nhost: SHOP.Example\r\n\r\n",
        arrives("GET /a HTTP/1.1"),
    ),
    case(
        "9110 §7.2",
        "a dot at the end",
        b"GET /a HTTP/1.1\r\nhost: shop.example.\r\n\r\n",
        arrives("GET /a HTTP/1.1"),
    ),
    case(
        "9110 §7.2",
        "an underscore in a host",
        b"GET /a HTTP/1.1\r\nhost: shop_1.example\r\n\r\n",
        arrives("GET /a HTTP/1.1"),
    ),
    case(
        "9112 §3.2",
        "the field's name in any case",
        b"GET /a HTTP/1.1\r\nHoSt: a\r\n\r\n",
        carries("GET /a HTTP/1.1", &["host: a"], &[]),
    ),
    case(
        "9112 §3.2",
        "a port beyond the last",
        b"GET /a HTTP/1.1\r\nhost: a:65536\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a port with a sign",
        b"GET /a HTTP/1.1\r\nhost: a:+80\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a negative port",
        b"GET /a HTTP/1.1\r\nhost: a:-1\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "two ports",
        b"GET /a HTTP/1.1\r\nhost: a:80:81\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "half an address of version 6",
        b"GET /a HTTP/1.1\r\nhost: [::1\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "something behind an address of version 6",
        b"GET /a HTTP/1.1\r\nhost: [::1]evil\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a Host with a query",
        b"GET /a HTTP/1.1\r\nhost: a?b\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a Host with a fragment",
        b"GET /a HTTP/1.1\r\nhost: a#b\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a Host with a tab",
        b"GET /a HTTP/1.1\r\nhost: a\tb\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a Host with a backslash",
        b"GET /a HTTP/1.1\r\nhost: a\\b\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a Host with a scheme",
        b"GET /a HTTP/1.1\r\nhost: http://a\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a Host with a byte above ASCII",
        b"GET /a HTTP/1.1\r\nhost: caf\xc3\xa9\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a second Host far behind",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx: y\r\nhost: b\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a second Host in other letters",
        b"GET /a HTTP/1.1\r\nhost: a\r\nHOST: a\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "a Host that continues on the next line",
        b"GET /a HTTP/1.1\r\nhost:\r\n a\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "no Host beside an absolute form",
        b"GET http://a/a HTTP/1.1\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2",
        "two Hosts beside an absolute form",
        b"GET http://a/a HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        BAD,
    ),
    case(
        "9112 §3.2.2",
        "an absolute form with a port",
        b"GET http://a:8080/a HTTP/1.1\r\nhost: a\r\n\r\n",
        carries("GET /a HTTP/1.1", &["host: a:8080"], &[]),
    ),
    case(
        "9112 §3.2.2",
        "an absolute form of https",
        b"GET https://a/a HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a HTTP/1.1"),
    ),
    case(
        "9112 §3.2.2",
        "a scheme in capitals",
        b"GET HTTP://a/a HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a HTTP/1.1"),
    ),
    case(
        "9112 §3.2.2",
        "an absolute form with dots",
        b"GET http://a/b/../a HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a HTTP/1.1"),
    ),
    case(
        "9112 §3.2.2",
        "an absolute form with a query and no path",
        b"GET http://a?b HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /?b HTTP/1.1"),
    ),
    case(
        "9110 §7.2",
        "what the client says of the host before is not believed",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx-forwarded-host: evil.example\r\n\r\n",
        carries(
            "GET /a HTTP/1.1",
            &["x-forwarded-host: a"],
            &["x-forwarded-host: evil"],
        ),
    ),
];
