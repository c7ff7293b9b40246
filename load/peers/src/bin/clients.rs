//! Clients that keep a proxy busy otherwise than by asking fast: `clients KIND ADDRESS COUNT`.
//!
//! `idle` asks once on each of its connections and keeps them; `stalled` asks on each for a GiB and
//! reads nothing. Both say `ready` and stay until their input ends. `download` reads one GiB,
//! `upload` sends one; they say `done`.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

const GIB: u64 = 1 << 30;
const PIECE: usize = 256 * 1024;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [kind, address, count] = words.as_slice() else {
        return Err(io::Error::other("clients KIND ADDRESS COUNT"));
    };
    let count: usize = count.parse().map_err(io::Error::other)?;
    match kind.as_str() {
        "idle" => hold(count, || {
            let mut stream = ask(address, "1k")?;
            let left = length(&mut stream)?;
            drain(&mut stream, left)?;
            Ok(stream)
        }),
        "stalled" => hold(count, || ask(address, "1g")),
        "download" => {
            let mut stream = ask(address, "1g")?;
            let left = length(&mut stream)?;
            drain(&mut stream, left)?;
            say("done")
        }
        "upload" => {
            upload(address)?;
            say("done")
        }
        _ => Err(io::Error::other("no such kind of clients")),
    }
}

/// Opens the connections and keeps them until the input ends.
fn hold(count: usize, open: impl Fn() -> io::Result<TcpStream>) -> io::Result<()> {
    let streams = (0..count).map(|_| open()).collect::<io::Result<Vec<_>>>()?;
    say("ready")?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    drop(streams);
    Ok(())
}

fn say(word: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{word}")?;
    out.flush()
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask(address: &str, size: &str) -> io::Result<TcpStream> {
    let mut stream = connect(address)?;
    let request = format!(
        "GET /area-7/items/{size} HTTP/1.1\r\nHost: shop.example\r\nX-User-Id: user-7\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

fn upload(address: &str) -> io::Result<()> {
    let mut stream = connect(address)?;
    let head = format!(
        "POST /area-7/items/1k HTTP/1.1\r\nHost: shop.example\r\nX-User-Id: user-7\r\n\
         Content-Length: {GIB}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let piece = vec![b'x'; PIECE];
    for _ in 0..GIB / PIECE as u64 {
        stream.write_all(&piece)?;
    }
    let left = length(&mut stream)?;
    drain(&mut stream, left)
}

/// Reads the head, a byte at a time so that nothing of the body is taken; the body's length.
fn length(stream: &mut TcpStream) -> io::Result<u64> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        return Err(io::Error::other(text));
    }
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let value = value.ok_or_else(|| io::Error::other("no length"))?;
    value.trim().parse().map_err(io::Error::other)
}

fn drain(stream: &mut TcpStream, mut left: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while left > 0 {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= read as u64;
    }
    Ok(())
}
