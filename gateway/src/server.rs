//! The data port: one thread with its own runtime, listener and upstream connections per core.
//!
//! Invariant: a connection lives on one worker from accept to close, together with the upstream
//! connections that serve it, so that the way of a request crosses no thread. Workers share only
//! what is read mostly or counted (the plane, breakers, statistics).

mod client;
mod connection;
mod files;
mod guard;
mod handed;
mod hinted;
mod http1;
mod http2;
mod listeners;
mod places;
mod refusal;
mod reply;
mod wire;

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use chassis::{Shutdown, trace::Tracer};
use futures::future::BoxFuture;
use http::HeaderMap;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::task::TaskTracker;

pub(crate) use handed::Handed;
pub use listeners::Listeners;

use self::places::Places;
use crate::certificate::{self, Certificate, CertificateError};
use crate::config::Config;
use crate::control::Control;
use crate::identity::{Identity, Verifier};
use crate::limits::Limits;
use crate::proxy::{KeyedSides, MOST_ENCODERS, Plane, Proxy, Shared};
use crate::reload::Step;
use crate::stats::Stats;
use crate::subject::CookieSigner;
use crate::upstream::Upstreams;

/// The running data plane.
#[derive(Debug)]
pub struct DataPlane {
    shared: Arc<Shared>,
    address: SocketAddr,
    workers: Mutex<Vec<Worker>>,
}

/// The data plane could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A worker's thread or runtime.
    #[error("a worker of the data port cannot be started: {0}")]
    Worker(#[from] io::Error),
    /// The data port's certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The file beside the state file.
    #[error("cannot keep the sides of keys in {} (setting `state_file`): {reason}", file.display())]
    Keys {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// What a worker serves its clients with.
#[derive(Debug)]
struct Front {
    proxy: Proxy,
    shutdown: Shutdown,
    places: Arc<Places>,
    /// All that the drain waits for: clients' connections, and the tunnels that they became.
    connections: TaskTracker,
    /// With one, the port speaks TLS and nothing else.
    certificate: Option<Arc<Certificate>>,
    /// Each handshake under way holds one.
    handshakes: Semaphore,
    /// Each client that is told that there is no place for it holds one.
    told: Arc<Semaphore>,
}

/// Handshakes that a worker has under way: each costs some 30 KiB and a millisecond of its time;
/// more at once would only all be late.
const MAX_HANDSHAKES: usize = 512;

/// Refused clients that are told so at a time; the others are closed without a word.
const MAX_TOLD: usize = 64;

#[derive(Debug)]
struct Worker {
    thread: JoinHandle<()>,
    /// Answers when the worker has drained.
    ended: oneshot::Receiver<()>,
}

impl DataPlane {
    /// Starts a worker for each of the listeners. Key sets and health checks run on the runtime that
    /// this is called from. Once `shutdown` begins, workers stop accepting, finish what is under way
    /// within 8 s, and end.
    ///
    /// # Errors
    /// When a thread or a runtime cannot be made.
    pub fn start(
        control: Arc<Control>,
        listeners: Listeners,
        shutdown: &Shutdown,
    ) -> Result<Self, StartError> {
        files::allow_many();
        let (address, sockets) = listeners.into_parts();
        let background = Handle::current();
        let config = Arc::clone(&control.config());
        let upstreams = Upstreams::new(&config, sockets.len(), background.clone());
        let keyed = keyed_sides(&config)?;
        let shared = Shared::new(control, upstreams, background, &config, keyed);
        let shared = Arc::new(shared);
        let certificate = config.tls.as_ref().map(Certificate::load).transpose()?;
        let certificate = certificate.map(Arc::new);
        if let Some(certificate) = &certificate {
            let (stats, end) = (Arc::clone(&shared.stats), shutdown.clone());
            let following = certificate::follow(Arc::clone(certificate), stats, end);
            shared.background.spawn(following);
        }
        let places = Places::new(Arc::clone(shared.stats.clients()));
        let mut workers = Vec::new();
        for (number, socket) in sockets.into_iter().enumerate() {
            let front = Front {
                proxy: Proxy {
                    shared: Arc::clone(&shared),
                    worker: number,
                },
                shutdown: shutdown.clone(),
                places: Arc::clone(&places),
                connections: TaskTracker::new(),
                certificate: certificate.clone(),
                handshakes: Semaphore::new(MAX_HANDSHAKES),
                told: Arc::new(Semaphore::new(MAX_TOLD)),
            };
            workers.push(Worker::start(number, socket, front)?);
        }
        Ok(Self {
            shared,
            address,
            workers: Mutex::new(workers),
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The upstreams, for the admin API.
    pub fn upstreams(&self) -> &Arc<Upstreams> {
        &self.shared.upstreams
    }

    /// What reads `banyan_subject`, for the admin API's `explain`.
    pub fn cookies(&self) -> &Arc<CookieSigner> {
        &self.shared.signer
    }

    /// Who sends a request with these headers, as the current configuration tells.
    pub fn identify(&self) -> impl Fn(HeaderMap) -> BoxFuture<'static, Option<Identity>> + use<> {
        let shared = Arc::clone(&self.shared);
        move |headers| {
            let verifier = shared.plane().verifier.clone();
            Box::pin(async move {
                let now = crate::proxy::since_epoch();
                // Operators ask these as the gateway itself.
                let client = Ipv6Addr::LOCALHOST.into();
                verifier?.recognize(&headers, client, now).await.ok()
            })
        }
    }

    /// What was counted, for the admin API and the metrics.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.shared.stats
    }

    /// Follows a reload of the configuration (see [`crate::reload::watch`]).
    pub fn follow(&self, config: &Config, _step: Step) {
        self.shared.upstreams.reconcile(config);
        self.shared.refresh();
    }

    /// Completes when all workers have drained and ended. Call it after the shutdown has begun.
    pub async fn join(&self) {
        let workers = {
            let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *workers)
        };
        for worker in workers {
            // An error means that the worker panicked, which the thread's end says, too.
            let _ = worker.ended.await;
            if worker.thread.join().is_err() {
                tracing::error!("a worker of the data port panicked");
            }
        }
        self.shared.upstreams.stop();
    }
}

impl Worker {
    fn start(number: usize, socket: std::net::TcpListener, front: Front) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (ends, ended) = oneshot::channel();
        let part = chassis::telemetry::part("gateway");
        let thread = std::thread::Builder::new()
            .name(format!("gateway-{number}"))
            .spawn(move || {
                // All that is said on this thread is the gateway's.
                let _part = part.entered();
                runtime.block_on(connection::accept(socket, Arc::new(front)));
                // Whatever did not finish within the drain ends here.
                drop(runtime);
                let _ = ends.send(());
            })?;
        Ok(Self { thread, ended })
    }
}

impl Shared {
    fn new(
        control: Arc<Control>,
        upstreams: Upstreams,
        background: Handle,
        config: &Config,
        keyed: KeyedSides,
    ) -> Self {
        let signer = Arc::new(CookieSigner::new(config.cookie_key.as_ref()));
        let stats = Arc::new(Stats::default());
        let verifier = verifier(config, None, &background, &stats);
        let table = Arc::clone(&control.table());
        let limits = Limits::new(background.clone());
        let plane = Plane::new(config, table, &upstreams, &stats, &limits, verifier);
        Self {
            plane: ArcSwap::from_pointee(plane),
            control,
            upstreams: Arc::new(upstreams),
            stats,
            signer,
            keyed: Arc::new(keyed),
            limits,
            encoders: Arc::new(Semaphore::new(MOST_ENCODERS)),
            tracer: Tracer::of("gateway"),
            background,
            refreshing: Mutex::default(),
        }
    }

    /// Makes the plane of the control plane's current configuration. One at a time; who comes
    /// second finds the work done.
    pub(crate) fn refresh(&self) {
        let _one = self
            .refreshing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The table is stored after its configuration: read in the opposite order, the
        // configuration is the table's or newer, and then the next refresh follows.
        let table = Arc::clone(&self.control.table());
        let config = Arc::clone(&self.control.config());
        let before = self.plane.load();
        let verifier = verifier(
            &config,
            before.verifier.as_ref(),
            &self.background,
            &self.stats,
        );
        let (upstreams, stats, limits) = (&self.upstreams, &self.stats, &self.limits);
        limits.keep_only(&table);
        let plane = Plane::new(&config, table, upstreams, stats, limits, verifier);
        self.plane.store(Arc::new(plane));
    }
}

/// Which side got which key: kept beside the state file, where there is one.
fn keyed_sides(config: &Config) -> Result<KeyedSides, StartError> {
    let Some(state_file) = &config.state_file else {
        return Ok(KeyedSides::default());
    };
    let mut file = state_file.clone().into_os_string();
    file.push(".keys");
    let file = PathBuf::from(file);
    KeyedSides::open(file.clone()).map_err(|reason| StartError::Keys { file, reason })
}

/// The verifier of a configuration: the one from before where nothing changed.
fn verifier(
    config: &Config,
    before: Option<&Arc<Verifier>>,
    background: &Handle,
    stats: &Stats,
) -> Option<Arc<Verifier>> {
    let settings = config.auth.as_ref()?;
    match before {
        Some(before) if before.settings() == settings => Some(Arc::clone(before)),
        before => {
            let before = before.map(Arc::as_ref);
            let counts = stats.sessions();
            Some(Arc::new(Verifier::new(
                settings, before, background, counts,
            )))
        }
    }
}
