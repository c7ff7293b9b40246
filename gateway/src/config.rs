//! The gateway's configuration: one TOML or YAML file, environment variables over it.
//!
//! Invariants: every fault of a file is reported in one go, with the path of its key; an unknown
//! key is a fault; so is a key that this version would silently ignore (see [`UNSUPPORTED`]).

mod auth;
mod compress;
mod declaration;
mod fault;
mod front;
mod headers;
mod limit;
mod parse;
mod pattern;
mod reader;
mod unsupported;
mod upstream_tls;
mod validate;
mod value;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use figment::{
    Figment,
    providers::{Env, Format, Toml, Yaml},
};
use http::Method;

pub use auth::{Auth, Forward, Issuer, IssuerKey, RouteAuth, Told};
pub use compress::{Coding, Compress, ContentType};
pub use fault::{Fault, Faults};
pub use front::{Limits, Tls};
pub use headers::{Cors, HeaderRules, Names, Origins};
pub use limit::{RateKey, RateLimit};
pub(crate) use pattern::Segment;
pub use pattern::{MAX_SEGMENTS, Pattern};
pub use unsupported::{UNSUPPORTED, Unsupported};
pub use upstream_tls::{ClientCertificate, Protocol, UpstreamTls};
pub use value::{Endpoint, Network, Rate, Scheme, Secret, parse_duration};

use crate::{
    flag::Settings,
    id::{FlagId, RouteId, UpstreamId},
};

/// The prefix of environment variables: `BANYAN_GATEWAY__LISTEN`,
/// `BANYAN_GATEWAY__UPSTREAMS__LEGACY__TIMEOUT`.
pub const ENV_PREFIX: &str = "BANYAN_GATEWAY__";

/// A valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where the admin API and the console are; loopback unless there are tokens.
    pub admin_listen: SocketAddr,
    /// Who may use the admin API. Empty (on loopback only): everybody is an operator.
    pub admin_tokens: Vec<AdminToken>,
    /// The event store's URL, `postgres://…` or `sqlite:path`.
    pub log: Option<String>,
    /// Where flag states are kept without a log, and kills while the log is down.
    pub state_file: Option<PathBuf>,
    /// Signs `banyan_subject`; absent: a random key, which does not outlive the process.
    pub cookie_key: Option<Secret>,
    /// What the data port speaks TLS with; absent: it speaks plain HTTP.
    pub tls: Option<Tls>,
    /// What clients may cost.
    pub limits: Limits,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// How many requests may be under way in the whole process; 503 beyond.
    pub max_in_flight: u32,
    /// Whether each request is logged.
    pub access_log: AccessLog,
    /// Whether responses carry `X-Banyan-Route` and `X-Banyan-Upstream`.
    pub route_headers: bool,
    /// The backends by name.
    pub upstreams: BTreeMap<UpstreamId, Upstream>,
    /// The flags' first states by name.
    pub flags: BTreeMap<FlagId, Settings>,
    /// The routes, in the file's order (which does not matter for matching).
    pub routes: Vec<Route>,
    /// How tokens are verified; present when a route asks or a flag reads a claim.
    pub auth: Option<Auth>,
}

/// A bearer token of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// Who it stands for: the actor in a flag's history.
    pub name: String,
    /// The token itself.
    pub token: Secret,
    /// What it allows.
    pub role: Role,
}

/// What a user of the admin API may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and changes.
    Operator,
}

/// How requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// One JSON line for each request.
    Json,
    /// Not at all.
    Off,
}

/// A backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its instances, at least one, none twice.
    pub endpoints: Vec<Endpoint>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the response's head may take.
    pub timeout: Duration,
    /// How long the body may pause.
    pub idle_timeout: Duration,
    /// How many requests may be under way at once.
    pub max_in_flight: Option<u32>,
    /// Who may wait for a place when that many are.
    pub queue: Option<Queue>,
    /// How often the addresses of its endpoints' names are asked for.
    pub resolve: Option<Duration>,
    /// Over which time an instance that comes back gets its whole share.
    pub slow_start: Option<Duration>,
    /// What is spoken to it.
    pub protocol: Protocol,
    /// The letters of header names, in both directions.
    pub header_case: HeaderCase,
    /// Whether its interim answers (103) go on to clients of HTTP/1.1.
    pub early_hints: bool,
    /// Whom it is taken for, where it is reached by TLS, and how the gateway names itself.
    pub tls: UpstreamTls,
    /// How its instances are checked.
    pub health: Option<Health>,
    /// When it is left alone.
    pub breaker: Option<Breaker>,
    /// How often a request is tried again.
    pub retry: Option<Retry>,
    /// How much of another upstream's traffic it takes over.
    pub fallback: Fallback,
}

impl Upstream {
    /// How many percent of its instances may be left alone at once.
    pub(crate) fn max_open_percent(&self) -> u32 {
        self.breaker
            .as_ref()
            .map_or(100, |breaker| breaker.max_open_percent)
    }
}

/// How the names of headers are written on HTTP/1. They mean the same either way (RFC 9110 §5.1), but
/// there are old programs that compare bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderCase {
    /// In lower case, as on HTTP/2.
    Lower,
    /// As the other side wrote them.
    Keep,
}

/// An active health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is requested.
    pub path: String,
    /// How often.
    pub interval: Duration,
}

/// When an instance is taken for broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// So many failures …
    pub failures: u32,
    /// … within this time open it …
    pub window: Duration,
    /// … for this long.
    pub open_for: Duration,
    /// So many percent of the instances may be open at once.
    pub max_open_percent: u32,
}

/// Who waits for a place in the bulkhead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// So many requests …
    pub size: u32,
    /// … for so long.
    pub wait: Duration,
}

/// How often a request is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first one included.
    pub attempts: u32,
    /// Retries may be this share of all requests at most.
    pub budget_percent: u32,
}

/// How much of a failing candidate's traffic its legacy takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// A fallback is let in while less than this share of `max_in_flight` is taken: the rest is
    /// kept for the upstream's own traffic.
    pub share_percent: u32,
    /// Fallbacks may be this share at most of all requests to the routes that can fall back here.
    pub budget_percent: u32,
}

/// Who serves a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name.
    pub id: RouteId,
    /// Which paths.
    pub pattern: Pattern,
    /// Only for this host (lower case, without a port).
    pub host: Option<String>,
    /// Only for these methods; absent: all.
    pub methods: Option<Vec<Method>>,
    /// Only for who names this media type in `Accept` (lower case, without parameters).
    pub accept: Option<String>,
    /// Who has always served it.
    pub legacy: UpstreamId,
    /// Who is going to serve it.
    pub candidate: Option<UpstreamId>,
    /// Who decides; present exactly when `candidate` is.
    pub flag: Option<FlagId>,
    /// Whether a request may go to the other side where that is provably safe.
    pub fallback: bool,
    /// How the path is changed on its way to the candidate.
    pub rewrite: Option<Rewrite>,
    /// Who may use it.
    pub auth: Option<RouteAuth>,
    /// Does not inherit the `auth` of narrower routes.
    pub public: bool,
    /// How much of it.
    pub rate_limit: Option<RateLimit>,
    /// The form in which the path is forwarded.
    pub path: PathForm,
    /// What happens to `%2F`, `%5C` and `%00`.
    pub encoded_slash: EncodedSlash,
    /// Whether letters' case does not matter for matching.
    pub case_insensitive: bool,
    /// Whether method-override headers decide the method (else they are stripped).
    pub method_override: bool,
    /// What is changed about a request's headers before an upstream gets it.
    pub request_headers: Option<HeaderRules>,
    /// What is changed about an answer's headers before the client gets it.
    pub response_headers: Option<HeaderRules>,
    /// Which pages of other origins may use it; absent: that is left to the upstream.
    pub cors: Option<Cors>,
    /// How answers are compressed; absent: not at all.
    pub compress: Option<Compress>,
    /// Whether WebSockets and event streams end when the flag sends their subject to the other side.
    pub close_on_flip: bool,
    /// After how long without a byte either way a tunnel (a WebSocket's) is closed.
    pub tunnel_idle_timeout: Duration,
    /// How long all attempts together may take to a response's head, on both sides.
    pub deadline: Option<Duration>,
    /// Whether what carries an `Idempotency-Key` may be tried again at the upstream that got it.
    pub retry_keyed: bool,
    /// The largest body of a request in bytes, 413 beyond; absent: any, since bodies are streamed.
    pub max_body: Option<u32>,
}

/// How a path is changed for the candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Taken off the front.
    pub strip_prefix: Option<String>,
    /// Put in front.
    pub add_prefix: Option<String>,
}

/// The form in which a path is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathForm {
    /// As it was matched: dots resolved, slashes merged.
    Normalized,
    /// As the client wrote it.
    Keep,
}

/// What happens to an encoded slash, backslash or NUL in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodedSlash {
    /// 400.
    Reject,
    /// It is forwarded as it is.
    Keep,
}

/// In which language a configuration text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
}

impl Config {
    /// Reads a file, the environment over it, and checks it.
    ///
    /// # Errors
    /// All faults; an unreadable file is a single one.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        Self::parse(&read(path)?, Language::of(path)?, Environment::Applied)
    }

    /// Reads a file for a gateway that runs somewhere else, and checks it. Secrets reach that gateway
    /// by its own environment, so a file without any is not faulty here: what is asked is whether the
    /// file is good, not whether this process could run it.
    ///
    /// # Errors
    /// As [`Config::load`], but for missing `admin_tokens`.
    pub fn load_for_elsewhere(path: &Path) -> Result<Self, Faults> {
        Self::parse(&read(path)?, Language::of(path)?, Environment::Elsewhere)
    }

    /// Checks a configuration text; the environment plays no part.
    ///
    /// # Errors
    /// All faults.
    pub fn from_text(text: &str, language: Language) -> Result<Self, Faults> {
        Self::parse(text, language, Environment::Ignored)
    }

    /// Checks a text that was read from a file, the environment over it.
    ///
    /// # Errors
    /// All faults.
    pub fn from_file_text(text: &str, language: Language) -> Result<Self, Faults> {
        Self::parse(text, language, Environment::Applied)
    }

    /// The route with this id.
    #[must_use]
    pub fn route(&self, id: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.id.as_str() == id)
    }

    fn parse(text: &str, language: Language, environment: Environment) -> Result<Self, Faults> {
        let figment = match language {
            Language::Toml => Figment::from(Toml::string(text)),
            Language::Yaml => Figment::from(Yaml::string(text)),
        };
        let figment = match environment {
            Environment::Applied | Environment::Elsewhere => {
                figment.merge(Env::prefixed(ENV_PREFIX).split("__"))
            }
            Environment::Ignored => figment,
        };
        parse::config(&figment, environment)
    }
}

impl Language {
    /// By the file's extension: `toml`, `yaml` or `yml`.
    ///
    /// # Errors
    /// Another extension.
    pub fn of(path: &Path) -> Result<Self, Faults> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Ok(Self::Toml),
            Some("yaml" | "yml") => Ok(Self::Yaml),
            _ => Err(Faults::of_file(path, "must end in .toml, .yaml or .yml")),
        }
    }
}

/// Reads a configuration file's text, which is bounded.
pub(crate) fn read(path: &Path) -> Result<String, Faults> {
    let size = std::fs::metadata(path)
        .map_err(|error| Faults::of_file(path, &error.to_string()))?
        .len();
    if size > MAX_FILE_BYTES {
        return Err(Faults::of_file(path, "is larger than 4 MiB"));
    }
    std::fs::read_to_string(path).map_err(|error| Faults::of_file(path, &error.to_string()))
}

/// Four thousand routes fit several times; anything larger is not a configuration.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// What this process's environment says of the gateway that the text is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Environment {
    Applied,
    Ignored,
    /// Not everything: the gateway has one of its own, with its secrets.
    Elsewhere,
}
