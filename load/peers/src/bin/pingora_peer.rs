//! A proxy by Pingora that does per request what the gateway does: match one of the routes, send half
//! of the users to the candidate, trace headers to both sides.
//!
//! `pingora-peer LISTEN LEGACY CANDIDATE ROUTES`, ports of loopback.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

/// Threads, as many as the other proxies have.
const THREADS: usize = 2;

struct Peer {
    legacy: String,
    candidate: String,
    /// A route's name by its first segment.
    routes: HashMap<String, String>,
    /// Where trace ids go on; what a random number generator would give costs no less.
    next: AtomicU64,
}

/// What is known of one request.
#[derive(Default)]
struct Course {
    route: Option<String>,
    is_candidate: bool,
    trace: String,
}

#[async_trait]
impl ProxyHttp for Peer {
    type CTX = Course;

    fn new_ctx(&self) -> Course {
        Course::default()
    }

    async fn request_filter(&self, session: &mut Session, course: &mut Course) -> Result<bool> {
        let request = session.req_header();
        let segment = request.uri.path().split('/').nth(1).unwrap_or_default();
        course.route = self.routes.get(segment).cloned();
        if course.route.is_none() {
            session.respond_error(404).await?;
            return Ok(true);
        }
        let user = request.headers.get("x-user-id");
        let mut hasher = DefaultHasher::new();
        user.map(|user| user.as_bytes()).hash(&mut hasher);
        course.is_candidate = hasher.finish() % 10_000 < 5_000;
        let number = self
            .next
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        course.trace = format!("{number:032x}");
        Ok(false)
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        course: &mut Course,
    ) -> Result<Box<HttpPeer>> {
        let side = if course.is_candidate {
            &self.candidate
        } else {
            &self.legacy
        };
        Ok(Box::new(HttpPeer::new(side, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        course: &mut Course,
    ) -> Result<()> {
        let client = session.client_addr().and_then(|it| it.as_inet());
        let client = client.map(|it| it.ip().to_string()).unwrap_or_default();
        request.insert_header("X-Forwarded-For", client)?;
        request.insert_header("X-Forwarded-Proto", "http")?;
        request.insert_header("Via", "1.1 pingora")?;
        request.insert_header("X-Trace-ID", course.trace.as_str())?;
        let parent = format!("00-{}-00f067aa0ba902b7-01", course.trace);
        request.insert_header("traceparent", parent)?;
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        course: &mut Course,
    ) -> Result<()> {
        response.insert_header("X-Trace-ID", course.trace.as_str())?;
        let parent = format!("00-{}-00f067aa0ba902b7-01", course.trace);
        response.insert_header("traceparent", parent)?;
        if let Some(route) = &course.route {
            response.insert_header("X-Route", route.as_str())?;
        }
        Ok(())
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let [listen, legacy, candidate, routes] = numbers[..] else {
        eprintln!("pingora-peer LISTEN LEGACY CANDIDATE ROUTES");
        std::process::exit(64);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let peer = Peer {
        legacy: format!("127.0.0.1:{legacy}"),
        candidate: format!("127.0.0.1:{candidate}"),
        routes: (0..routes)
            .map(|route| (format!("area-{route}"), format!("area-{route}")))
            .collect(),
        next: AtomicU64::new(now.map_or(1, |now| now.as_nanos() as u64)),
    };
    let conf = ServerConf {
        threads: THREADS,
        upstream_keepalive_pool_size: 512,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let conf = Arc::clone(&server.configuration);
    let mut service = http_proxy_service(&conf, peer);
    service.add_tcp(&format!("127.0.0.1:{listen}"));
    server.add_service(service);
    server.run_forever();
}
