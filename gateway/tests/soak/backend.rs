//! An instance of an upstream, which can die with all its connections and come back.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// One instance on a port of its own.
pub(crate) struct Backend {
    pub(crate) side: &'static str,
    pub(crate) address: SocketAddr,
    life: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Backend {
    pub(crate) async fn start(side: &'static str) -> Self {
        let address = ([127, 0, 0, 1], testkit::free_port()).into();
        let life = CancellationToken::new();
        Self {
            side,
            address,
            accepting: accept(address, life.clone()).await,
            life,
        }
    }

    /// Ends at once, whatever is under way.
    pub(crate) async fn die(&mut self) {
        self.life.cancel();
        (&mut self.accepting).await.expect("the instance ends");
    }

    /// Listens where it did before.
    pub(crate) async fn revive(&mut self) {
        self.life = CancellationToken::new();
        self.accepting = accept(self.address, self.life.clone()).await;
    }
}

async fn accept(address: SocketAddr, life: CancellationToken) -> JoinHandle<()> {
    let listener = TcpListener::bind(address).await.expect("the port is ours");
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = life.cancelled() => break,
                accepted = listener.accept() => {
                    let (stream, _) = accepted.expect("a connection");
                    connections.spawn(serve(stream, life.clone()));
                }
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        connections.shutdown().await;
    })
}

async fn serve(stream: TcpStream, life: CancellationToken) {
    let service = service_fn(move |request| answer(request, life.clone()));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Clients give up in the middle of everything here.
    connection.with_upgrades().await.ok();
}

/// `GET /…/ID?size=N`: the last segment and that many bytes more. `POST`: the last segment, and the
/// length and sum of the body. An upgrade: every byte back.
async fn answer(
    mut request: Request<Incoming>,
    life: CancellationToken,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.headers().contains_key(header::UPGRADE) {
        let upgrading = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let Ok(upgraded) = upgrading.await else {
                return;
            };
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
            tokio::select! {
                () = life.cancelled() => {}
                _ = tokio::io::copy(&mut read, &mut write) => {}
            }
        });
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("echo"));
        return Ok(response);
    }
    let id = request
        .uri()
        .path()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let size = request
        .uri()
        .query()
        .and_then(|query| query.strip_prefix("size="));
    let size: usize = size.and_then(|size| size.parse().ok()).unwrap_or(0);
    let body = request.into_body().collect().await?.to_bytes();
    let mut said = said(&id, &body).into_bytes();
    said.resize(said.len() + size, b'.');
    Ok(Response::new(Full::from(said)))
}

/// What a sound answer begins with.
pub(crate) fn said(id: &str, body: &[u8]) -> String {
    let sum = body.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    format!("{id} {} {sum}\n", body.len())
}
