//! As little of HTTP/1.1 as a load generator needs: what is measured is behind it.

use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

/// A request in full.
const MAX_REQUEST: usize = 64 * 1024;

/// Serves until the process ends: each POST runs a saga of the user in its body and is answered at the
/// saga's end.
pub async fn serve<F, R>(port: u16, saga: F) -> anyhow::Result<()>
where
    F: Fn(Uuid) -> R + Send + Sync + 'static,
    R: Future<Output = anyhow::Result<()>> + Send,
{
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let saga = Arc::new(saga);
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        let saga = Arc::clone(&saga);
        tokio::spawn(async move {
            if let Err(error) = answer(connection, &*saga).await {
                eprintln!("{error:#}");
            }
        });
    }
}

async fn answer<F, R>(mut connection: TcpStream, saga: &F) -> anyhow::Result<()>
where
    F: Fn(Uuid) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let mut request = Vec::with_capacity(2048);
    while let Some(body) = next(&mut connection, &mut request).await? {
        let (status, body) = match saga(user(&body)?).await {
            Ok(()) => ("200 OK", "{\"status\":\"completed\"}".to_owned()),
            Err(error) => ("500 Internal Server Error", format!("{error:#}")),
        };
        let text = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(text.as_bytes()).await?;
    }
    Ok(())
}

/// The next request's body; none when the client has left.
async fn next(connection: &mut TcpStream, held: &mut Vec<u8>) -> anyhow::Result<Option<String>> {
    loop {
        if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.context("no content-length")?.trim().parse()?;
            let whole = end + 4 + length;
            if held.len() >= whole {
                let rest = held.split_off(whole);
                let body = String::from_utf8_lossy(&held[end + 4..]).into_owned();
                *held = rest;
                return Ok(Some(body));
            }
        }
        if held.len() > MAX_REQUEST {
            bail!("a request has no end");
        }
        if connection.read_buf(held).await? == 0 {
            return Ok(None);
        }
    }
}

fn user(body: &str) -> anyhow::Result<Uuid> {
    let (_, rest) = body.split_once("\"userId\":\"").context("no userId")?;
    let text = rest.get(..36).context("no userId")?;
    Ok(text.parse()?)
}
