//! The server behind every proxy that is measured: as little work as possible, a thread for each
//! connection. The path's last segment says what to answer: `1k` (and anything else), `64k`, `1g`.
//!
//! Bodies of requests are read to their end before the answer begins, whatever their length.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::OnceLock,
    thread,
};

/// The largest head that is read: proxies add some headers to the client's.
const MAX_HEAD: u64 = 64 * 1024;
/// What the largest body is written in.
const PIECE: usize = 256 * 1024;
const GIB: u64 = 1 << 30;

/// A request's framing.
#[derive(Default)]
struct Request {
    target: String,
    length: u64,
    is_chunked: bool,
    expects: bool,
    closes: bool,
}

/// The answers that are ready to be sent.
struct Answers {
    small: Vec<u8>,
    middle: Vec<u8>,
    piece: Vec<u8>,
}

fn main() -> io::Result<()> {
    let ports: Vec<u16> = std::env::args()
        .skip(1)
        .map(|port| port.parse().map_err(io::Error::other))
        .collect::<Result<_, _>>()?;
    let mut listeners = Vec::new();
    for port in ports {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        listeners.push(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = thread::Builder::new()
                    .stack_size(128 * 1024)
                    .spawn(move || {
                        // A peer that leaves is how connections end.
                        let _ = serve(&stream);
                    });
                drop(served);
            }
        }));
    }
    for listener in listeners {
        let _ = listener.join();
    }
    Ok(())
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let answers = Answers::all();
    let mut reader = BufReader::with_capacity(16 * 1024, stream);
    let mut line = Vec::new();
    while let Some(request) = Request::read(&mut reader, &mut line)? {
        if request.expects {
            (&mut &*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if request.is_chunked {
            skip_chunks(&mut reader, &mut line)?;
        } else {
            skip(&mut reader, request.length)?;
        }
        answers.send(&request.target, &mut &*stream)?;
        if request.closes {
            break;
        }
    }
    Ok(())
}

impl Request {
    fn read(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let mut head = reader.take(MAX_HEAD);
        let mut request = Self::default();
        for number in 0.. {
            line.clear();
            if head.read_until(b'\n', line)? == 0 {
                return Ok(None);
            }
            let text = line.trim_ascii();
            if number == 0 {
                let target = text.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
                request.target = String::from_utf8_lossy(target).into_owned();
                request.closes = text.ends_with(b"1.0");
                continue;
            }
            if text.is_empty() {
                break;
            }
            request.header(text);
        }
        Ok(Some(request))
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let text = || String::from_utf8_lossy(value).to_ascii_lowercase();
        if name.eq_ignore_ascii_case(b"content-length") {
            self.length = text().parse().unwrap_or_default();
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_chunked = text() == "chunked";
        } else if name.eq_ignore_ascii_case(b"expect") {
            self.expects = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.closes = text() == "close";
        }
    }
}

impl Answers {
    fn all() -> &'static Self {
        static ALL: OnceLock<Answers> = OnceLock::new();
        ALL.get_or_init(|| Self {
            small: whole(1024),
            middle: whole(64 * 1024),
            piece: vec![b'x'; PIECE],
        })
    }

    fn send(&self, target: &str, stream: &mut impl Write) -> io::Result<()> {
        if target.ends_with("/64k") {
            return stream.write_all(&self.middle);
        }
        if !target.ends_with("/1g") {
            return stream.write_all(&self.small);
        }
        stream.write_all(head(GIB).as_bytes())?;
        for _ in 0..GIB / PIECE as u64 {
            stream.write_all(&self.piece)?;
        }
        Ok(())
    }
}

fn whole(size: usize) -> Vec<u8> {
    let mut message = head(size as u64).into_bytes();
    message.resize(message.len() + size, b'x');
    message
}

fn head(size: u64) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
    )
}

fn skip(reader: &mut impl BufRead, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let here = reader.fill_buf()?.len();
        if here == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = here.min(usize::try_from(left).unwrap_or(here));
        reader.consume(taken);
        left -= taken as u64;
    }
    Ok(())
}

fn skip_chunks(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    loop {
        line.clear();
        reader.read_until(b'\n', line)?;
        let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        let size = u64::from_str_radix(&text, 16).map_err(io::Error::other)?;
        // The line break behind it, too.
        skip(reader, size + 2)?;
        if size == 0 {
            return Ok(());
        }
    }
}
