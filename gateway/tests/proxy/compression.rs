//! Compressed answers: what is compressed, what is left alone, and that nothing is held back.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use crate::scripted::{Act, Scripted, response};
use crate::stage::{Client, Stage, upstream};

/// A route that compresses, in this order of its own.
async fn stage(legacy: &Scripted, compress: &str) -> Stage {
    Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\ncompress = {compress}\n",
        upstream("legacy", legacy.address, "")
    ))
    .await
}

const ALL: &str = "[\"br\", \"zstd\", \"gzip\"]";

/// What a client makes of compressed bytes as they come.
struct Decoder {
    writer: Box<dyn Write>,
    out: Sink,
}

/// What came out so far.
#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    fn of(coding: &str) -> Self {
        let out = Sink::default();
        let writer: Box<dyn Write> = match coding {
            "br" => Box::new(brotli::DecompressorWriter::new(out.clone(), 4096)),
            "zstd" => {
                let decoder = zstd::stream::write::Decoder::new(out.clone());
                Box::new(decoder.expect("a decoder"))
            }
            _ => Box::new(flate2::write::GzDecoder::new(out.clone())),
        };
        Self { writer, out }
    }

    /// Everything that can be read by now.
    fn read(&mut self, bytes: &[u8]) -> String {
        self.writer.write_all(bytes).expect("valid bytes");
        self.writer.flush().expect("valid bytes");
        String::from_utf8_lossy(&self.out.0.borrow()).into_owned()
    }
}

/// One chunk of a chunked body; empty at its end.
async fn chunk(client: &mut Client) -> Vec<u8> {
    let line = client.until(b"\r\n").await;
    let line = String::from_utf8(line).expect("a chunk's length");
    let length = usize::from_str_radix(line.trim(), 16).expect("a chunk's length");
    let data = client.exactly(length).await;
    client.exactly(2).await;
    data
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

async fn asked(stage: &Stage, line: &str, headers: &str) -> (Client, String) {
    let mut client = stage.connect().await;
    let request = format!("{line} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    client.send(request.as_bytes()).await;
    let head = client.head().await;
    (client, head)
}

#[tokio::test]
async fn an_answer_is_compressed_for_who_reads_that_and_says_so() {
    let body = "{\"a\": 1}".repeat(1_000);
    let text = response("200 OK", "application/json; charset=utf-8", &body).replace(
        "\r\n\r\n",
        "\r\netag: \"v1\"\r\naccept-ranges: bytes\r\nvary: origin\r\n\r\n",
    );
    let legacy = Scripted::always(Act::Say(text)).await;
    let stage = stage(&legacy, ALL).await;
    for coding in ["br", "zstd", "gzip"] {
        let accept = format!("accept-encoding: {coding}\r\n");
        let (mut client, head) = asked(&stage, "GET /", &accept).await;
        assert_eq!(header(&head, "content-encoding"), Some(coding));
        assert_eq!(header(&head, "content-length"), None);
        assert_eq!(header(&head, "accept-ranges"), None);
        assert_eq!(header(&head, "etag"), Some("W/\"v1\""));
        assert!(head.contains("vary: accept-encoding"), "{head}");
        let mut decoder = Decoder::of(coding);
        let mut read = String::new();
        let mut sent = 0;
        loop {
            let chunk = chunk(&mut client).await;
            if chunk.is_empty() {
                break;
            }
            sent += chunk.len();
            read = decoder.read(&chunk);
        }
        assert_eq!(read, body, "{coding}");
        assert!(sent < body.len() / 10, "{sent} bytes by {coding}");
        assert_eq!(
            legacy.seen().last().unwrap().header("accept-encoding"),
            Some(coding)
        );
    }
}

#[tokio::test]
async fn what_is_compressed_already_or_must_not_be_is_left_alone() {
    let long = "x".repeat(4_000);
    let plain = response("200 OK", "text/plain", &long);
    let with = |more: &str| plain.replace("\r\n\r\n", &format!("\r\n{more}\r\n\r\n"));
    let cases = [
        (with("content-encoding: gzip"), "", "200"),
        (with("cache-control: public, no-transform"), "", "200"),
        (with("content-digest: sha-256=:AAAA:"), "", "200"),
        (response("200 OK", "image/png", &long), "", "200"),
        (
            response("200 OK", "application/grpc+proto", &long),
            "",
            "200",
        ),
        (response("200 OK", "text/plain", "short"), "", "200"),
        (
            with("content-range: bytes 0-3999/8000").replace("200 OK", "206 Partial Content"),
            "",
            "206",
        ),
        (plain.clone(), "range: bytes=0-10\r\n", "200"),
        (plain.clone(), "cache-control: no-transform\r\n", "200"),
        (plain.replace("content-type: text/plain\r\n", ""), "", "200"),
    ];
    for (answer, headers, status) in cases {
        let legacy = Scripted::always(Act::Say(answer.clone())).await;
        let stage = stage(&legacy, ALL).await;
        let accept = format!("accept-encoding: gzip, br\r\n{headers}");
        let (mut client, head) = asked(&stage, "GET /", &accept).await;
        let told = answer.split("\r\n\r\n").next().unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{told}");
        let length: usize = header(&head, "content-length")
            .expect(told)
            .parse()
            .unwrap();
        let body = client.exactly(length).await;
        assert!(
            answer.ends_with(&String::from_utf8(body).unwrap()),
            "{told}"
        );
    }
}

#[tokio::test]
async fn answers_without_a_body_are_left_alone() {
    let head_only = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5000\r\netag: \"1\"\r\n\r\n";
    let nothing = "HTTP/1.1 204 No Content\r\ncontent-type: text/plain\r\netag: \"1\"\r\n\r\n";
    for (line, answer) in [("HEAD /", head_only), ("GET /", nothing)] {
        let legacy = Scripted::always(Act::Say(answer.to_owned())).await;
        let stage = stage(&legacy, ALL).await;
        let (_, head) = asked(&stage, line, "accept-encoding: br\r\n").await;
        assert_eq!(header(&head, "content-encoding"), None, "{answer}");
        assert_eq!(header(&head, "etag"), Some("\"1\""));
    }
}

#[tokio::test]
async fn a_304_is_told_as_the_answer_that_it_stands_for_was() {
    let gzip = "accept-encoding: gzip\r\n";
    for (more, accept, etag, vary) in [
        ("", gzip, "W/\"1\"", Some("accept-encoding")),
        (
            "content-type: text/plain\r\n",
            gzip,
            "W/\"1\"",
            Some("accept-encoding"),
        ),
        ("", "", "\"1\"", Some("accept-encoding")),
        ("content-type: image/png\r\n", gzip, "\"1\"", None),
        ("content-encoding: br\r\n", gzip, "\"1\"", None),
        ("cache-control: no-transform\r\n", gzip, "\"1\"", None),
    ] {
        let answer = format!("HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n{more}\r\n");
        let legacy = Scripted::always(Act::Say(answer)).await;
        let stage = stage(&legacy, ALL).await;
        let headers = format!("if-none-match: W/\"1\"\r\n{accept}");
        let reply = stage.get("/", &headers).await;
        assert_eq!(reply.status(), 304);
        assert_eq!(reply.header("etag"), Some(etag), "{more}{accept}");
        assert_eq!(reply.header("vary"), vary, "{more}{accept}");
        assert_eq!(
            legacy.seen()[0].header("if-none-match"),
            Some("W/\"1\""),
            "compared weakly"
        );
    }
}

#[tokio::test]
async fn who_got_a_weak_tag_from_the_gateway_can_write_with_it() {
    let legacy = Scripted::saying("written").await;
    let stage = stage(&legacy, ALL).await;
    let tags = "if-match: W/\"5\", \"6\"\r\n";
    assert_eq!(stage.post("/", tags, "x").await.status(), 200);
    assert_eq!(legacy.seen()[0].header("if-match"), Some("\"5\", \"6\""));
    // On a route that compresses nothing a weak tag is the upstream's own.
    let stage = Stage::simple(legacy.address).await;
    assert_eq!(stage.post("/", tags, "x").await.status(), 200);
    assert_eq!(legacy.seen()[1].header("if-match"), Some("W/\"5\", \"6\""));
}

#[tokio::test]
async fn who_reads_no_coding_gets_the_answer_as_it_is_and_caches_are_told() {
    let body = "y".repeat(4_000);
    let legacy = Scripted::saying(&body).await;
    let stage = stage(&legacy, "[\"gzip\"]").await;
    for accept in [
        "",
        "accept-encoding: br\r\n",
        "accept-encoding: gzip;q=0\r\n",
    ] {
        let reply = stage.get("/", accept).await;
        assert_eq!(reply.header("content-encoding"), None, "{accept}");
        assert_eq!(reply.header("vary"), Some("accept-encoding"), "{accept}");
        assert_eq!(reply.body, body);
    }
}

#[tokio::test]
async fn what_the_upstream_has_sent_goes_out_when_it_pauses() {
    let (first, second) = ("a first part", "and a second");
    let chunked = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
    for coding in ["br", "zstd", "gzip"] {
        let act = Act::SayInTwo(
            format!("{head}{}", chunked(first)),
            format!("{}0\r\nx-sum: 7\r\n\r\n", chunked(second)),
        );
        let legacy = Scripted::always(act).await;
        let stage = stage(&legacy, ALL).await;
        let headers = format!("accept-encoding: {coding}\r\nte: trailers\r\n");
        let (mut client, _) = asked(&stage, "GET /", &headers).await;
        let mut decoder = Decoder::of(coding);
        let mut read = String::new();
        while read != first {
            assert!(first.starts_with(&read), "{read:?}");
            read = decoder.read(&chunk(&mut client).await);
        }
        legacy.release();
        while read != format!("{first}{second}") {
            read = decoder.read(&chunk(&mut client).await);
        }
    }
}

#[tokio::test]
async fn event_streams_are_not_compressed() {
    let act = Act::SayInTwo(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n".to_owned(),
        String::new(),
    );
    let legacy = Scripted::always(act).await;
    let stage = stage(
        &legacy,
        "{ codings = [\"gzip\"], min_size = 1, types = [\"text/*\"] }",
    )
    .await;
    let (mut client, head) = asked(&stage, "GET /", "accept-encoding: gzip\r\n").await;
    assert_eq!(header(&head, "content-encoding"), None);
    assert_eq!(chunk(&mut client).await, b"data: 1\n\n");
}

#[tokio::test]
async fn an_upstream_that_breaks_off_ends_no_compressed_answer_as_if_it_were_whole() {
    let text =
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9000\r\n\r\nbeginning";
    let legacy = Scripted::always(Act::SayAndClose(text.to_owned())).await;
    let stage = stage(&legacy, ALL).await;
    let (mut client, head) = asked(&stage, "GET /", "accept-encoding: gzip\r\n").await;
    assert_eq!(header(&head, "content-encoding"), Some("gzip"));
    let rest = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the body's end was made up");
}
