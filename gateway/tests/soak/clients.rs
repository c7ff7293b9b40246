//! Those who ask: each does one kind of thing again and again, and judges what it gets.

mod multiplexed;
mod raw;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rand::{RngExt, rngs::StdRng};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::backend::said;
use crate::outages::Outages;
use crate::tally::Tally;

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Small answers, one after the other on one connection.
    Get,
    /// Bodies up and an answer that depends on each of their bytes.
    Post,
    /// Large answers, read slowly.
    Download,
    /// Several requests before the first answer.
    Pipeline,
    /// An upgraded connection, used for a while.
    Tunnel,
    /// Several streams of HTTP/2 at a time, some of which are given up.
    Multiplexed,
    /// Leaves in the middle of something.
    GiveUp,
}

/// One client.
pub(crate) struct Client {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) tally: Arc<Tally>,
    pub(crate) outages: Arc<Outages>,
    pub(crate) random: StdRng,
}

type Link = SendRequest<BoxBody<Bytes, Infallible>>;

/// A request, and what its answer must be.
struct Asked {
    request: Request<BoxBody<Bytes, Infallible>>,
    answer: Vec<u8>,
}

/// What came, or why nothing did.
type Came = Result<(StatusCode, Vec<u8>), String>;

/// Who waits longer than this has lost its answer.
const LOST: Duration = Duration::from_secs(25);

/// The longest body that is sent, and the longest answer that is asked for.
const UPLOAD: usize = 150 * 1024;
const DOWNLOAD: usize = 4 * 1024 * 1024;

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Get,
        Self::Post,
        Self::Download,
        Self::Pipeline,
        Self::Tunnel,
        Self::Multiplexed,
        Self::GiveUp,
    ];
}

impl Client {
    /// Asks until it is to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut link = None;
        while !stop.is_cancelled() {
            match self.kind {
                Kind::Get | Kind::Post | Kind::Download => self.exchange(&mut link).await,
                Kind::Pipeline => self.pipeline().await,
                Kind::Tunnel => self.tunnel(&stop).await,
                Kind::Multiplexed => self.multiplexed().await,
                Kind::GiveUp => self.give_up().await,
            }
        }
    }

    async fn exchange(&mut self, link: &mut Option<Link>) {
        let started = Instant::now();
        let asked = self.asked();
        let what = format!("{:?} {}", self.kind, asked.request.uri());
        let came = tokio::time::timeout(LOST, self.ask(link, asked.request)).await;
        let came = came.unwrap_or_else(|_| Err("nothing came".to_owned()));
        if came.is_err() {
            *link = None;
        }
        self.judge(started, &what, &came, &asked.answer);
    }

    fn asked(&mut self) -> Asked {
        let random = &mut self.random;
        let id = format!("{:016x}", random.random::<u64>());
        let path = ["/moved", "/all", "/more/3"][random.random_range(0..3)];
        let (method, size, body) = match self.kind {
            Kind::Post => (
                Method::POST,
                0,
                vec![random.random(); random.random_range(0..UPLOAD)],
            ),
            Kind::Download => (Method::GET, random.random_range(0..DOWNLOAD), Vec::new()),
            _ => (Method::GET, random.random_range(0..2_000), Vec::new()),
        };
        let mut answer = said(&id, &body).into_bytes();
        answer.resize(answer.len() + size, b'.');
        let is_chunked = random.random();
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}/{id}?size={size}"))
            .header("host", "soak.example")
            .header("x-user-id", random.random_range(0..1_000))
            .body(if is_chunked {
                chunked(&body)
            } else {
                Full::from(body).boxed()
            })
            .expect("a request");
        Asked { request, answer }
    }

    async fn ask(
        &self,
        link: &mut Option<Link>,
        request: Request<BoxBody<Bytes, Infallible>>,
    ) -> Came {
        let sender = match link.take() {
            Some(sender) if !sender.is_closed() => link.insert(sender),
            _ => link.insert(open(self.address).await?),
        };
        sender.ready().await.map_err(|error| format!("{error:?}"))?;
        let answer = sender.send_request(request).await;
        let response = answer.map_err(|error| format!("{error:?}"))?;
        self.read(response).await
    }

    async fn read(&self, response: Response<Incoming>) -> Came {
        let status = response.status();
        let (mut body, mut read) = (response.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("after {} bytes: {error:?}", read.len()))?;
            read.extend_from_slice(&frame.into_data().unwrap_or_default());
            if self.kind == Kind::Download {
                // Stands for a slow line.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok((status, read))
    }

    fn judge(&self, started: Instant, what: &str, came: &Came, answer: &[u8]) {
        let fault = match came {
            Ok((StatusCode::OK, body)) if body == answer => return self.tally.answered(),
            // Never excused: it is somebody else's, or a part that was told as the whole.
            Ok((StatusCode::OK, body)) => {
                let (came, due) = (head(body), head(answer));
                let (got, of) = (body.len(), answer.len());
                return self.tally.fault(format!(
                    "{what}: {got} bytes for {of}: {came:?} for {due:?}"
                ));
            }
            Ok((status, body)) => format!("{what}: {status} {:?}", head(body)),
            Err(error) => format!("{what}: {error}"),
        };
        self.excuse(started, fault);
    }

    /// Only an instance's death excuses what failed since then.
    fn excuse(&self, started: Instant, fault: String) {
        if self.outages.any_since(started) {
            self.tally.excused();
        } else {
            self.tally.fault(fault);
        }
    }
}

async fn open(address: SocketAddr) -> Result<Link, String> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| format!("no connection: {error}"))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("{error:?}"))?;
    // Whoever waits for an answer gets the error, too.
    tokio::spawn(connection);
    Ok(sender)
}

/// A body whose length is told by nobody.
fn chunked(body: &[u8]) -> BoxBody<Bytes, Infallible> {
    let chunks: Vec<_> = body
        .chunks(10_000)
        .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    BodyExt::boxed(StreamBody::new(stream::iter(chunks)))
}

/// The beginning, as people can read it.
fn head(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}
