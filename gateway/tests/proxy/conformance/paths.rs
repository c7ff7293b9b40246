//! What a path is compared and forwarded by (RFC 3986 §3.3, §5.2.4, §6.2.2; RFC 9110 §4.2.3).

use super::{Case, Fate, arrives, case, judge};

#[tokio::test]
async fn paths_have_one_spelling() {
    judge(PATHS).await;
}

const PATHS: &[Case] = &[
    case(
        "3986 §5.2.4",
        "a dot alone",
        b"GET /. HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET / HTTP/1.1"),
    ),
    case(
        "3986 §5.2.4",
        "two dots alone",
        b"GET /.. HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET / HTTP/1.1"),
    ),
    case(
        "3986 §5.2.4",
        "a dot at the end",
        b"GET /a/. HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a/ HTTP/1.1"),
    ),
    case(
        "3986 §5.2.4",
        "two dots at the end",
        b"GET /a/b/.. HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a/ HTTP/1.1"),
    ),
    case(
        "3986 §5.2.4",
        "two dots that leave nothing",
        b"GET /a/.. HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET / HTTP/1.1"),
    ),
    case(
        "3986 §5.2.4",
        "dots between slashes",
        b"GET /a/.//./b HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a/b HTTP/1.1"),
    ),
    case(
        "3986 §5.2.4",
        "a name that begins with dots",
        b"GET /..a/.b HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /..a/.b HTTP/1.1"),
    ),
    case(
        "3986 §5.2.4",
        "three dots are a name",
        b"GET /... HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /... HTTP/1.1"),
    ),
    case(
        "3986 §6.2.2.3",
        "dots of which one is encoded",
        b"GET /a/.%2e/b HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /b HTTP/1.1"),
    ),
    case(
        "3986 §6.2.2.3",
        "encoded dots in capitals, twice",
        b"GET /a/b/%2E%2E/%2e%2e/c HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /c HTTP/1.1"),
    ),
    case(
        "3986 §6.2.2.3",
        "an encoded dot at the end of a name",
        b"GET /a%2e HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a. HTTP/1.1"),
    ),
    case(
        "9110 §4.2.3",
        "two slashes",
        b"GET /a//b HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a/b HTTP/1.1"),
    ),
    case(
        "9110 §4.2.3",
        "many slashes",
        b"GET ////a//// HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a/ HTTP/1.1"),
    ),
    case(
        "9110 §4.2.3",
        "nothing but slashes",
        b"GET // HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET / HTTP/1.1"),
    ),
    case(
        "9112 §3.2.1",
        "a path that looks like a host",
        b"GET //evil.example/a HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /evil.example/a HTTP/1.1"),
    ),
    case(
        "3986 §3.3",
        "parameters",
        b"GET /a;b=c/d;e HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a/d HTTP/1.1"),
    ),
    case(
        "3986 §3.3",
        "parameters of nothing",
        b"GET /;a/;/b HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /b HTTP/1.1"),
    ),
    case(
        "3986 §3.3",
        "dots with parameters",
        b"GET /a/..;b=c/d HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /d HTTP/1.1"),
    ),
    case(
        "3986 §3.3",
        "encoded dots with parameters",
        b"GET /a/%2e%2e;/d HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /d HTTP/1.1"),
    ),
    case(
        "3986 §2.2",
        "an encoded semicolon is a character",
        b"GET /a%3bb HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a%3Bb HTTP/1.1"),
    ),
    case(
        "3986 §2.1",
        "an encoded slash in small letters",
        b"GET /a%2fb HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2.1",
        "an encoded slash behind dots",
        b"GET /a/..%2fb HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2.1",
        "an encoded slash in parameters",
        b"GET /a;b%2F..%2Fc HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2.1",
        "an encoded backslash",
        b"GET /a%5Cb HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2.1",
        "an encoded backslash behind dots",
        b"GET /a/..%5cb HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2.1",
        "an encoded NUL at the end",
        b"GET /a%00 HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2.1",
        "an encoded NUL before an extension",
        b"GET /a%00.png HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2",
        "a backslash in parameters",
        b"GET /a;\\b HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2.1",
        "a percent sign at the end",
        b"GET /a% HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2.1",
        "an encoding of another kind",
        b"GET /%u0061 HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2.1",
        "a percent sign with a sign",
        b"GET /%+1 HTTP/1.1\r\nhost: a\r\n\r\n",
        Fate::Answered(400),
    ),
    case(
        "3986 §2.4",
        "an encoding is decoded once",
        b"GET /a%252fb%252e HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a%252fb%252e HTTP/1.1"),
    ),
    case(
        "3986 §2.1",
        "an encoded line break stays one",
        b"GET /a%0d%0ax:%20y HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a%0D%0Ax:%20y HTTP/1.1"),
    ),
    case(
        "3986 §2.1",
        "an encoded space",
        b"GET /a%20b+c HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a%20b+c HTTP/1.1"),
    ),
    case(
        "3986 §6.2.2.2",
        "an encoded tilde",
        b"GET /%7euser HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /~user HTTP/1.1"),
    ),
    case(
        "3986 §6.2.2.2",
        "encoded dots over two bytes are none",
        b"GET /%c0%ae%c0%ae/a HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /%C0%AE%C0%AE/a HTTP/1.1"),
    ),
    case(
        "3986 §6.2.2.1",
        "case is kept",
        b"GET /Admin/%41 HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /Admin/A HTTP/1.1"),
    ),
    case(
        "3986 §3.4",
        "a query with everything in it",
        b"GET /a?/../;b=%2F%00&c=//d?e HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a?/../;b=%2F%00&c=//d?e HTTP/1.1"),
    ),
    case(
        "3986 §3.4",
        "a query that is broken is the upstream's",
        b"GET /a?b=%zz% HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /a?b=%zz% HTTP/1.1"),
    ),
    case(
        "3986 §3.4",
        "a query behind a path that changes",
        b"GET /a/../b?c HTTP/1.1\r\nhost: a\r\n\r\n",
        arrives("GET /b?c HTTP/1.1"),
    ),
];
