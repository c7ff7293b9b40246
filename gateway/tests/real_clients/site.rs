//! A small site behind the gateway's binary, for curl, a browser and a WebSocket.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use futures::{Stream, StreamExt, stream};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::gateway::{Front, Gateway};

/// How long what must happen may take. It never takes this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the file has to offer, for ranges.
pub(crate) const FILE: &[u8] = b"0123456789abcdefghij";

/// A small site behind a gateway.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    told: watch::Receiver<Option<String>>,
}

#[derive(Clone)]
struct Shared {
    told: Arc<watch::Sender<Option<String>>>,
    /// The next event goes out once this many were told of.
    acknowledged: Arc<watch::Sender<usize>>,
}

impl Site {
    /// In plain text.
    pub(crate) async fn open() -> Self {
        Self::behind(Front::Plain).await
    }

    /// Behind TLS.
    pub(crate) async fn open_with_tls() -> Self {
        Self::behind(Front::Tls).await
    }

    async fn behind(front: Front) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let upstream = listener.local_addr().expect("an address");
        let (told, telling) = watch::channel(None);
        let shared = Shared {
            told: Arc::new(told),
            acknowledged: Arc::new(watch::Sender::new(0)),
        };
        tokio::spawn(async move { axum::serve(listener, router(shared)).await });
        Self {
            gateway: Gateway::before(upstream.port(), "http1", front).await,
            told: telling,
        }
    }

    /// What a page said at its end.
    pub(crate) async fn told(&mut self) -> String {
        let waiting = self.told.wait_for(Option::is_some);
        let told = tokio::time::timeout(PATIENCE, waiting).await;
        let told = told.expect("the page comes to its end in time");
        told.expect("the site lives").clone().unwrap_or_default()
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/hello", get(|| async { "hello\n" }))
        .route("/file", get(file))
        .route("/count", post(count).put(count))
        .route("/socket", get(socket))
        .route("/page", get(|| async { Html(PAGE) }))
        .route("/events", get(events))
        .route("/seen", post(seen))
        .route("/told", post(told))
        .with_state(shared)
}

/// One range, as any file server answers it.
async fn file(headers: HeaderMap) -> Response {
    let asked = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let bounds = asked
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
        .and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)));
    let Some((from, to)) = bounds else {
        return FILE.into_response();
    };
    let range = format!("bytes {from}-{to}/{}", FILE.len());
    let headers = [(header::CONTENT_RANGE, range)];
    (StatusCode::PARTIAL_CONTENT, headers, &FILE[from..=to]).into_response()
}

async fn count(body: Body) -> String {
    let bytes = body.into_data_stream();
    let counted = bytes.fold(0, |sum, chunk| async move {
        sum + chunk.map_or(0, |it| it.len())
    });
    format!("{}\n", counted.await)
}

/// A WebSocket that sends back each message.
async fn socket(request: Request) -> Response {
    websocket_echo(request)
}

fn websocket_echo(mut request: Request) -> Response {
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{handshake::derive_accept_key, protocol::Role},
    };
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = hyper_util::rt::TokioIo::new(upgrading.await.expect("an upgrade"));
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
        let (write, read) = socket.split();
        // Ends with the client's close.
        read.take_while(|message| {
            let goes_on = message
                .as_ref()
                .is_ok_and(|it| it.is_text() || it.is_binary());
            std::future::ready(goes_on)
        })
        .forward(write)
        .await
        .ok();
    });
    let headers = [
        (header::CONNECTION, "upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// Shows three events and tells us each; then all of them together.
const PAGE: &str = "<!doctype html><script>
const all = [];
const source = new EventSource('/events');
source.onmessage = async (event) => {
  const count = all.push(event.data);
  await fetch('/seen?count=' + count, { method: 'POST' });
  // The next event may have come while this one was told.
  if (count === 3) {
    source.close();
    await fetch('/told', { method: 'POST', body: all.slice(0, 3).join(' ') });
  }
};
</script>";

/// Each event goes out when the one before was seen: a gateway that gathers some before it passes
/// them on would wait for ever.
async fn events(
    State(shared): State<Shared>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let acknowledged = shared.acknowledged.subscribe();
    Sse::new(stream::unfold(
        (0_usize, acknowledged),
        |(number, mut seen)| async move {
            seen.wait_for(|count| *count >= number).await.ok()?;
            let event = Event::default().data(format!("event-{number}"));
            Some((Ok(event), (number + 1, seen)))
        },
    ))
}

async fn seen(State(shared): State<Shared>, Query(query): Query<HashMap<String, usize>>) {
    let count = query.get("count").copied().unwrap_or_default();
    shared.acknowledged.send_replace(count);
}

async fn told(State(shared): State<Shared>, body: Bytes) {
    shared
        .told
        .send_replace(Some(String::from_utf8_lossy(&body).into_owned()));
}
