//! What belongs to one connection, and what only the gateway says (RFC 9110 §7.6).

use super::{Case, Fate, carries, case, judge};

#[tokio::test]
async fn nothing_that_is_the_gateways_is_a_clients() {
    judge(HOPS).await;
}

const HOPS: &[Case] = &[
    case("9110 §7.6.1", "Connection takes a type of content away from nobody", b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: content-type\r\ncontent-type: text/plain\r\n\r\n", carries("GET /a HTTP/1.1", &["content-type: text/plain"], &[])),
    case("9110 §7.6.1", "names in Connection with spaces around them", b"GET /a HTTP/1.1\r\nhost: a\r\nconnection:  x-a ,x-b,\tx-c\r\nx-a: 1\r\nx-b: 1\r\nx-c: 1\r\nx-d: 1\r\n\r\n", carries("GET /a HTTP/1.1", &["x-d: 1"], &["x-a:", "x-b:", "x-c:"])),
    case("9110 §7.6.1", "empty names in Connection", b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: ,, x-a,\r\nx-a: 1\r\n\r\n", carries("GET /a HTTP/1.1", &[], &["x-a:"])),
    case("9110 §7.6.1", "Connection cannot take the client's address away", b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: x-forwarded-for, x-forwarded-proto\r\n\r\n", carries("GET /a HTTP/1.1", &["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"], &[])),
    case("9110 §7.6.1", "Connection cannot take the chunks away", b"POST /a HTTP/1.1\r\nhost: a\r\nconnection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Fate::Passes { line: "POST /a HTTP/1.1", has: &["transfer-encoding: chunked"], lacks: &[], body: b"3\r\nabc\r\n0\r\n\r\n" }),
    case("9110 §7.6.1", "Connection cannot take the trace away", b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: traceparent, via\r\n\r\n", carries("GET /a HTTP/1.1", &["traceparent: ", "via: "], &[])),
    case("9110 §10.1.4", "trailers are wanted", b"GET /a HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n", carries("GET /a HTTP/1.1", &["te: trailers"], &[])),
    case("9110 §10.1.4", "codings of this connection", b"GET /a HTTP/1.1\r\nhost: a\r\nte: gzip\r\nconnection: te\r\n\r\n", carries("GET /a HTTP/1.1", &[], &["te:"])),
    case("9110 §10.1.4", "trailers among codings", b"GET /a HTTP/1.1\r\nhost: a\r\nte: gzip;q=0.5, trailers\r\nconnection: te\r\n\r\n", carries("GET /a HTTP/1.1", &["te: trailers"], &["te: gzip"])),
    case("9110 §7.6.3", "Via of a hop before", b"GET /a HTTP/1.1\r\nhost: a\r\nvia: 1.0 before\r\n\r\n", carries("GET /a HTTP/1.1", &["via: 1.0 before"], &[])),
    case("7239 §4", "Forwarded is not believed", b"GET /a HTTP/1.1\r\nhost: a\r\nforwarded: for=6.6.6.6;host=evil\r\n\r\n", carries("GET /a HTTP/1.1", &[], &["forwarded:"])),
    case("7239 §1", "an address that the client claims", b"GET /a HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 6.6.6.6\r\nX_Forwarded_For: 7.7.7.7\r\n\r\n", carries("GET /a HTTP/1.1", &["x-forwarded-for: 127.0.0.1"], &["x_forwarded_for:"])),
    case("7239 §1", "a scheme that the client claims", b"GET /a HTTP/1.1\r\nhost: a\r\nx-forwarded-proto: https\r\n\r\n", carries("GET /a HTTP/1.1", &["x-forwarded-proto: http"], &["x-forwarded-proto: https"])),
    case("9110 §16.3", "the claims of a token", b"GET /a HTTP/1.1\r\nhost: a\r\nX-Auth-Subject: root\r\nx-auth-roles: admin\r\n\r\n", carries("GET /a HTTP/1.1", &[], &["x-auth-"])),
    case("9110 §16.3", "claims with underscores", b"GET /a HTTP/1.1\r\nhost: a\r\nx_auth_subject: root\r\nX-Auth_Roles: admin\r\n\r\n", carries("GET /a HTTP/1.1", &[], &["x_auth", "x-auth"])),
    case("9110 §16.3", "the gateway's own words", b"GET /a HTTP/1.1\r\nhost: a\r\nx-banyan-shadow: 1\r\nX_BANYAN_SUBJECT: root\r\n\r\n", carries("GET /a HTTP/1.1", &[], &["x-banyan", "x_banyan"])),
    case("9110 §9", "a method of a header", b"POST /a HTTP/1.1\r\nhost: a\r\nx-http-method-override: DELETE\r\nx_http_method: PUT\r\nx-method-override: PUT\r\ncontent-length: 0\r\n\r\n", carries("POST /a HTTP/1.1", &[], &["x-http", "x_http", "x-method"])),
    case("9110 §14.2", "a range", b"GET /a HTTP/1.1\r\nhost: a\r\nrange: bytes=0-5\r\nif-range: \"a\"\r\n\r\n", carries("GET /a HTTP/1.1", &["range: bytes=0-5", "if-range: \"a\""], &[])),
    case("9110 §13.1", "conditions", b"GET /a HTTP/1.1\r\nhost: a\r\nif-none-match: W/\"a\", *\r\n\r\n", carries("GET /a HTTP/1.1", &["if-none-match: w/\"a\", *"], &[])),
    case("9110 §8.4", "a content coding is opaque", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", Fate::Passes { line: "POST /a HTTP/1.1", has: &["content-encoding: gzip"], lacks: &[], body: b"abc" }),
    case("9110 §11.6.2", "credentials", b"GET /a HTTP/1.1\r\nhost: a\r\nauthorization: Basic dTpw\r\n\r\n", carries("GET /a HTTP/1.1", &["authorization: basic dtpw"], &[])),
];
