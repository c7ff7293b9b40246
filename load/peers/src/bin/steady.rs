//! Requests at a fixed rate, whatever the answers do: each is due at its own time, and its latency
//! counts from then (an open model, so that a stall is not hidden by waiting with the next request).
//!
//! `steady ADDRESS RATE CONNECTIONS SECONDS ROUTES` prints `p50 p90 p99 max count late`, times in µs.
//! A thread for each connection, since a thread wakes up more exactly than a shared timer.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// What is sent before anything counts, in seconds.
const WARM_UP: f64 = 1.0;

struct Plan {
    address: String,
    rate: f64,
    connections: usize,
    seconds: f64,
    routes: usize,
}

fn main() -> io::Result<()> {
    let plan = Plan::read()
        .ok_or_else(|| io::Error::other("steady ADDRESS RATE CONNECTIONS SECONDS ROUTES"))?;
    // The kernel would else round each wake-up by 50 µs; threads inherit it.
    std::fs::write("/proc/self/timerslack_ns", "1")?;
    let begin = Instant::now() + Duration::from_millis(200);
    let mut all = Vec::new();
    let (mut failed, plan) = (0_usize, &plan);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.connections)
            .map(|number| scope.spawn(move || plan.keep(number, begin)))
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(Ok(latencies)) => all.extend(latencies),
                _ => failed += 1,
            }
        }
    });
    if failed > 0 || all.is_empty() {
        return Err(io::Error::other(format!("{failed} connections broke")));
    }
    all.sort_unstable();
    let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize];
    let max = all[all.len() - 1];
    println!("{} {} {} {max} {}", at(0.5), at(0.9), at(0.99), all.len());
    Ok(())
}

impl Plan {
    fn read() -> Option<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [address, rate, connections, seconds, routes] = words.as_slice() else {
            return None;
        };
        Some(Self {
            address: address.clone(),
            rate: rate.parse().ok()?,
            connections: connections.parse().ok()?,
            seconds: seconds.parse().ok()?,
            routes: routes.parse().ok()?,
        })
    }

    /// One connection's share; latencies in µs.
    fn keep(&self, number: usize, begin: Instant) -> io::Result<Vec<u32>> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut latencies = Vec::new();
        let mut buffer = vec![0; 16 * 1024];
        for turn in 0.. {
            let count = turn * self.connections + number;
            let offset = count as f64 / self.rate;
            if offset > WARM_UP + self.seconds {
                break;
            }
            let due = begin + Duration::from_secs_f64(offset);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (route, user) = (count * 7 % self.routes, count % 1000);
            let request = format!(
                "GET /area-{route}/items/1k HTTP/1.1\r\nHost: shop.example\r\n\
                 X-User-Id: user-{user}\r\n\r\n"
            );
            stream.write_all(request.as_bytes())?;
            answer(&mut stream, &mut buffer)?;
            if offset >= WARM_UP {
                latencies.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
        }
        Ok(latencies)
    }
}

/// Reads one answer of known length to its end.
fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        let text = &buffer[..filled];
        let Some(head) = text.windows(4).position(|end| end == b"\r\n\r\n") else {
            continue;
        };
        if !text.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other("not 200"));
        }
        if filled >= head + 4 + length(&text[..head])? {
            return Ok(());
        }
    }
}

fn length(head: &[u8]) -> io::Result<usize> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let value = value.ok_or_else(|| io::Error::other("no length"))?;
    value.trim().parse().map_err(io::Error::other)
}
