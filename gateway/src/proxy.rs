//! The life of one request, in DESIGN.md's order: parse strictly, trace id, match, limit by address,
//! authenticate, limit by who that is, flag, forward, fall back, record.
//!
//! Invariant: every request ends in exactly one response and is recorded exactly once, whichever
//! step it ends at. What one request reads of the configuration is one [`Plane`], from beginning to
//! end, however often it is reloaded meanwhile.

mod admission;
mod compress;
mod cors;
mod course;
mod exchange;
mod flip;
mod http2;
mod keyed;
mod limit;
mod max_forwards;
mod plane;
mod reply;
mod respond;
mod rewrite;
mod span;
mod tunnel;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use chassis::trace::{Span, Tracer};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body, Incoming};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::access_log;
use crate::config::AccessLog;
use crate::control::Control;
use crate::flag::Side;
use crate::forward::BodySource;
use crate::grpc;
use crate::headers::{self, PeerTrust, Scheme};
use crate::limits::{Limits, Told};
use crate::stats::Stats;
use crate::subject::CookieSigner;
use crate::table::Route;
use crate::trace::{Trace, Written};
use crate::upstream::Upstreams;
use admission::Preflight;
pub(crate) use compress::MOST as MOST_ENCODERS;
pub(crate) use keyed::KeyedSides;
use max_forwards::Reach;
pub(crate) use plane::Plane;
pub(crate) use reply::{Refusal, ReplyBody};

/// One worker's proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) shared: Arc<Shared>,
    /// Whose connections are used.
    pub(crate) worker: usize,
}

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plane: ArcSwap<Plane>,
    pub(crate) control: Arc<Control>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) signer: Arc<CookieSigner>,
    pub(crate) keyed: Arc<KeyedSides>,
    pub(crate) limits: Limits,
    /// Places for answers that are being compressed.
    pub(crate) encoders: Arc<Semaphore>,
    /// What makes the requests' spans.
    pub(crate) tracer: Tracer,
    /// Where key sets are fetched.
    pub(crate) background: Handle,
    /// Held while a new plane is made.
    pub(crate) refreshing: Mutex<()>,
}

/// Who speaks to the gateway, and how.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// In its canonical form.
    pub(crate) address: IpAddr,
    /// The address as headers have it, for all requests of a connection.
    pub(crate) written: HeaderValue,
    pub(crate) scheme: Scheme,
}

/// A request's fixed points.
#[derive(Debug)]
struct Call {
    started: Instant,
    trace: Trace,
    written: Written,
    peer: HeaderValue,
    scheme: Scheme,
    trust: PeerTrust,
    /// The client's own address, behind trusted proxies.
    client: IpAddr,
}

/// What is remembered of a request for its record.
struct Record<'a> {
    method: Method,
    path: Option<String>,
    route: Option<&'a Arc<Route>>,
    side: Option<Side>,
    fell_back: bool,
    /// What the client is told of the route's limit, where there is one.
    limit: Option<Box<Told>>,
    /// The page that asks, on routes that have rules for that.
    origin: Option<HeaderValue>,
    span: Option<Span>,
}

impl Proxy {
    /// Answers one request.
    pub(crate) async fn serve(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<ReplyBody> {
        let plane = self.shared.plane();
        let mut call = Call::new(&plane, request.headers(), peer);
        let mut record = Record::new(&plane, &request);
        record.span = span::begin(self.shared.tracer, &mut call, request.method());
        // Whatever is said meanwhile is said with the request's ids.
        let context = call.trace.context();
        let may_switch = request.headers().contains_key(header::UPGRADE);
        let is_call = grpc::is_call(request.method(), request.headers());
        let version = request.version();
        let is_unread = !request.body().is_end_stream();
        let place = self.shared.stats.load();
        let place = place.enter(self.worker, plane.max_in_flight);
        let answered = match &place {
            Ok(_) => {
                let answered = {
                    // Pinned here, since it is large and would be moved into the scope.
                    let answering = pin!(self.answer(&plane, &call, request, &mut record));
                    context.scope(answering).await
                };
                answered.inspect_err(|refusal| self.count_refusal(&record, refusal, &call))
            }
            // It is counted where the places are.
            Err(full) => Err(Refusal::overloaded(*full)),
        };
        let mut response = answered.unwrap_or_else(|refusal| {
            let mut response = match is_call {
                true => refusal.into_grpc(),
                false => refusal.into_response(&call.trace),
            };
            respond::apply_rules(record.route.map(|route| &**route), response.headers_mut());
            // After the rules: what one client is told is no answer for the next, whatever the
            // route's file says of its upstream's answers.
            let no_store = HeaderValue::from_static("no-store");
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, no_store);
            if is_unread {
                // What is left of the body is not waited for, so the connection ends: it is said.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            response
        });
        respond::mark(&plane, &call, &record, response.headers_mut());
        if may_switch && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            // The guard stopped looking when it saw the request (see `server::guard`).
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        if version == Version::HTTP_2 {
            // A connection is shared there, and ended by other means (RFC 9113 §8.2.2).
            response.headers_mut().remove(header::CONNECTION);
        }
        record
            .close(&call, response)
            .map(|body| body.placed(place.ok()))
    }

    async fn answer<'a>(
        &self,
        plane: &'a Plane,
        call: &Call,
        request: Request<Incoming>,
        record: &mut Record<'a>,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let (mut parts, incoming) = request.into_parts();
        if parts.version == Version::HTTP_2 {
            http2::accept(&mut parts)?;
        }
        if let Some(Preflight { route, answer }) = admission::preflight(plane, &parts)? {
            self.shared.stats.route(&route.id).record_preflight();
            record.route = Some(route);
            record.origin = parts.headers.get(header::ORIGIN).cloned();
            return Ok(answer);
        }
        let admitted = admission::admit(plane, &parts, record)?;
        limit::before_who(&admitted, call, record).await?;
        let identity =
            admission::authenticate(plane, &admitted, &parts.headers, call.client).await?;
        let asked = admission::clean(&admitted, &mut parts, !incoming.is_end_stream());
        if max_forwards::count_down(&parts.method, &mut parts.headers) == Reach::Gateway {
            let answer = max_forwards::answer(&parts.method)?;
            admitted.entry.stats.record_refusal(answer.status());
            return Ok(answer);
        }
        let signer = &self.shared.signer;
        limit::by_who(&admitted, call, identity.as_ref(), record).await?;
        let course = course::choose(signer, &admitted, call, &parts.headers, identity.as_ref());
        if let Some(rules) = &admitted.route.config.request_headers {
            rules.apply(&mut parts.headers);
        }
        respond::add_upstream_headers(&mut parts, call, &course, identity.as_ref());
        let limit = admitted.route.config.max_body.map(u64::from);
        let body = BodySource::new(incoming, limit, plane.least_rate());
        let served = exchange::run(self, call, &admitted, &course, &parts, body).await?;
        record.side = Some(served.side);
        record.fell_back = served.fell_back;
        respond::to_client(
            (plane, &self.shared),
            &admitted,
            call,
            course,
            asked,
            served,
        )
    }

    /// Problems before a side was chosen are counted apart from what the sides answered.
    fn count_refusal(&self, record: &Record<'_>, refusal: &Refusal, call: &Call) {
        match (record.route, record.side) {
            (None, _) => self.shared.stats.record_unmatched(),
            (Some(route), None) => {
                self.shared
                    .stats
                    .route(&route.id)
                    .record_refusal(refusal.status());
            }
            (Some(route), Some(side)) => self.shared.stats.route(&route.id).record(
                side,
                refusal.status(),
                call.started.elapsed(),
            ),
        }
    }
}

impl Shared {
    /// The plane of the table that is in force now.
    pub(crate) fn plane(&self) -> Guard<Arc<Plane>> {
        let plane = self.plane.load();
        if Arc::ptr_eq(&plane.table, &self.control.table()) {
            return plane;
        }
        // The first request after a reload makes the new plane; nobody meets the old table again.
        self.refresh();
        self.plane.load()
    }
}

impl Call {
    fn new(plane: &Plane, headers: &HeaderMap, peer: Peer) -> Self {
        let Peer {
            address,
            written,
            scheme,
        } = peer;
        let trust = if plane.is_trusted(address) {
            PeerTrust::Proxy
        } else {
            PeerTrust::Client
        };
        let trace = Trace::from_headers(
            headers,
            || Trace::fresh_id(since_epoch(), rand::random()),
            rand::random(),
        );
        Self {
            started: Instant::now(),
            written: trace.written(),
            trace,
            peer: written,
            scheme,
            trust,
            client: headers::client_address(headers, address, |address| plane.is_trusted(address)),
        }
    }
}

impl Record<'_> {
    fn new(plane: &Plane, request: &Request<Incoming>) -> Self {
        let is_logged = plane.access_log == AccessLog::Json;
        Self {
            method: request.method().clone(),
            path: is_logged.then(|| request.uri().path().to_owned()),
            route: None,
            side: None,
            fell_back: false,
            limit: None,
            origin: None,
            span: None,
        }
    }

    /// Leaves the span's end and the line, where there are any, to the response's end.
    fn close(mut self, call: &Call, mut response: Response<ReplyBody>) -> Response<ReplyBody> {
        if let Some(mut span) = self.span.take() {
            span::describe(&mut span, &self, response.status());
            response = response.map(|body| body.traced(span));
        }
        let Some(path) = self.path else {
            return response;
        };
        let entry = access_log::Entry {
            started: call.started,
            method: self.method,
            path,
            client: call.client,
            trace: call.trace,
            route: self.route.map(Arc::clone),
            side: self.side,
            status: response.status(),
            fell_back: self.fell_back,
            bytes: 0,
        };
        response.map(|body| body.logged(entry))
    }
}

/// The wall clock, for what other systems compare with theirs.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
