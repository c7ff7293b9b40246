//! Names, values and codings that only one side would understand (RFC 9110 §5, RFC 9112 §6).

use super::{BAD, Case, Fate, carries, case, judge};

#[tokio::test]
async fn no_character_is_overlooked() {
    judge(CHARACTERS).await;
}

#[tokio::test]
async fn a_length_is_a_number_and_a_coding_is_chunked() {
    judge(CODINGS).await;
}

const CHARACTERS: &[Case] = &[
    case(
        "9110 §5.6.2",
        "a name with a quote",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx\"y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with a slash",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx/y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with a bracket",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx[y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with a brace",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx{y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with an equals sign",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx=y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with an at sign",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx@y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with a comma",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx,y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with a semicolon",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx;y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with a backslash",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx\\y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with an angle",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx<y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with a question mark",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx?y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with NUL",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx\x00y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with DEL",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx\x7fy: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name with a space",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.6.2",
        "a name of all that a token may have",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx!#$%&'*+-.^_`|~9: z\r\n\r\n",
        carries("GET /a HTTP/1.1", &["x!#$%&'*+-.^_`|~9: z"], &[]),
    ),
    case(
        "9110 §5.5",
        "BEL in a value",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx: a\x07b\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.5",
        "ESC in a value",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx: a\x1bb\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.5",
        "a vertical tab in a value",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx: a\x0bb\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.5",
        "a form feed in a value",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx: a\x0cb\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.5",
        "NUL at the end of a value",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx: a\x00\r\n\r\n",
        BAD,
    ),
    case(
        "9110 §5.5",
        "a tab in a value",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx: a\tb\r\n\r\n",
        carries("GET /a HTTP/1.1", &["x: a\tb"], &[]),
    ),
    case(
        "9110 §5.5",
        "no space before a value",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx:y\r\n\r\n",
        carries("GET /a HTTP/1.1", &["x: y"], &[]),
    ),
    case(
        "9110 §5.6.4",
        "a value in quotes",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx: \"a, b\\\" c\"\r\n\r\n",
        carries("GET /a HTTP/1.1", &["x: \"a, b\\\" c\""], &[]),
    ),
    case(
        "9112 §5.2",
        "a line of spaces in a head",
        b"GET /a HTTP/1.1\r\nhost: a\r\nx: y\r\n   \r\n\r\n",
        BAD,
    ),
];

const CODINGS: &[Case] = &[
    case("9112 §6.2", "no space before a length", b"POST /a HTTP/1.1\r\nhost: a\r\nContent-Length:3\r\n\r\nabc", Fate::Passes { line: "POST /a HTTP/1.1", has: &[], lacks: &[], body: b"abc" }),
    case("9112 §6.2", "a tab around a length", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length:\t3\t\r\n\r\nabc", Fate::Passes { line: "POST /a HTTP/1.1", has: &[], lacks: &[], body: b"abc" }),
    case("9110 §8.6", "a length with zeros before it", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 003\r\n\r\nabc", Fate::Passes { line: "POST /a HTTP/1.1", has: &[], lacks: &[], body: b"abc" }),
    case("9110 §8.6", "a length with a semicolon", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3;\r\n\r\nabc", BAD),
    case("9110 §8.6", "a length with an exponent", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3e0\r\n\r\nabc", BAD),
    case("9110 §8.6", "a length with an underscore", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0_3\r\n\r\nabc", BAD),
    case("9110 §8.6", "a length in other digits", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: \xd9\xa3\r\n\r\nabc", BAD),
    case("9110 §8.6", "a length in quotes", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: \"3\"\r\n\r\nabc", BAD),
    case("9110 §8.6", "a length with a vertical tab", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: \x0b3\r\n\r\nabc", BAD),
    case("9112 §6.3", "three lengths, the last another", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nx: y\r\ncontent-length: 3\r\ncontent-length: 0\r\n\r\nabc", BAD),
    case("9112 §6.3", "a length of nothing beside chunks", b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    case("9112 §6.1", "a tab before the coding", b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\tchunked\r\n\r\n0\r\n\r\n", Fate::Passes { line: "POST /a HTTP/1.1", has: &[], lacks: &[], body: b"0\r\n\r\n" }),
    case("9112 §6.1", "an empty coding", b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n\r\n0\r\n\r\n", BAD),
    case("9112 §6.1", "chunked with a parameter", b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n", BAD),
    case("9112 §6.1", "a comma before chunked", b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: ,chunked\r\n\r\n0\r\n\r\n", BAD),
    case("9112 §6.1", "a comma behind chunked", b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked,\r\n\r\n0\r\n\r\n", BAD),
    case("9112 §6.1", "another coding before chunked", b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", BAD),
    case("9112 §6.1", "another coding in a field of its own", b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n", BAD),
    case("9112 §6.1", "a space within chunked", b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chu nked\r\n\r\n0\r\n\r\n", BAD),
    case("9112 §6.1", "NUL behind chunked", b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\x00\r\n\r\n0\r\n\r\n", BAD),
    case("9112 §6.1", "a space before the colon of a coding", b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n", BAD),
];
