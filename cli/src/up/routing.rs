//! The gateway configuration that `up` starts with: Node-Learn's routes, all on legacy.

use std::{fmt::Write, path::Path};

use anyhow::{Context, bail};

use crate::endpoints::{ADMIN_PORT, GATEWAY_PORT};

/// A route whose traffic moves.
struct Move {
    id: &'static str,
    prefix: &'static str,
    flag: &'static str,
    candidate: &'static str,
    /// None: all.
    methods: &'static [&'static str],
    who: Who,
}

/// Whom a route lets in; the services check their own callers too.
enum Who {
    Everybody,
    Administrators,
}

const fn players(
    id: &'static str,
    prefix: &'static str,
    flag: &'static str,
    candidate: &'static str,
) -> Move {
    Move {
        id,
        prefix,
        flag,
        candidate,
        methods: &[],
        who: Who::Everybody,
    }
}

const fn administrators(
    id: &'static str,
    prefix: &'static str,
    flag: &'static str,
    candidate: &'static str,
    methods: &'static [&'static str],
) -> Move {
    Move {
        id,
        prefix,
        flag,
        candidate,
        methods,
        who: Who::Administrators,
    }
}

/// What moves under which flag. Curators may read on the new side while they still write on the
/// monolith, so reads and writes have a flag each.
const MOVES: &[Move] = &[
    players("auth", "/api/auth", "auth-cutover", "auth"),
    players("keys", "/.well-known/jwks.json", "auth-cutover", "auth"),
    players("questions", "/api/questions", "quiz-cutover", "question"),
    players("answers", "/api/answers", "quiz-cutover", "quiz"),
    players("stats", "/api/stats", "quiz-cutover", "quiz"),
    players(
        "achievements",
        "/api/achievements",
        "quiz-cutover",
        "achievement",
    ),
    players(
        "leaderboard",
        "/api/leaderboard",
        "quiz-cutover",
        "leaderboard",
    ),
    administrators("users", "/api/admin/users", "auth-cutover", "auth", &[]),
    administrators(
        "curation-reads",
        "/api/admin/questions",
        "curation-reads",
        "admin",
        &["GET", "HEAD"],
    ),
    administrators(
        "curation-writes",
        "/api/admin/questions",
        "curation-writes",
        "admin",
        &["POST", "PUT", "DELETE"],
    ),
    administrators(
        "maintenance",
        "/api/admin/maintenance",
        "maintenance-cutover",
        "maintenance",
        &[],
    ),
];

const UPSTREAMS: &[(&str, u16)] = &[
    ("legacy", 9000),
    ("auth", 9001),
    ("question", 9002),
    ("quiz", 9003),
    ("achievement", 9004),
    ("leaderboard", 9005),
    ("admin", 9006),
    ("maintenance", 9007),
];

const FLAGS: &[&str] = &[
    "auth-cutover",
    "quiz-cutover",
    "curation-reads",
    "curation-writes",
    "maintenance-cutover",
];

/// The file's text for a system whose ports are raised by `offset`; `state_file` and `cookie_key`
/// belong to its data folder.
pub(super) fn text(offset: u16, state_file: &Path, cookie_key: &str) -> String {
    let mut out = String::new();
    let state_file = state_file.display().to_string();
    // Writing to a String cannot fail.
    write!(
        out,
        r#"# Written by `banyan up`. Edit it while it runs: a good edit takes effect within a second,
# a bad one is refused and told in the log. From its first start on, a flag's state lives in the
# log; an edit of a flag here is a change like any other.
listen = "127.0.0.1:{data}"
admin_listen = "127.0.0.1:{admin}"
state_file = {state_file:?}
cookie_key = {cookie_key:?}
access_log = "off"

[auth]
[[auth.issuers]]
issuer = "banyan-auth"
audience = "banyan"
jwks_url = "http://127.0.0.1:{auth}/.well-known/jwks.json"
"#,
        data = GATEWAY_PORT + offset,
        admin = ADMIN_PORT + offset,
        auth = 9001 + offset,
    )
    .ok();
    upstreams(&mut out, offset);
    for flag in FLAGS {
        write!(
            out,
            "\n[flags.{flag}]\npercent = 0.0\nsubject = [\"jwt:sub\", \"cookie:banyan_subject\"]\n"
        )
        .ok();
    }
    for route in MOVES {
        write!(
            out,
            "\n[[routes]]\nid = {:?}\nprefix = {:?}\nlegacy = \"legacy\"\n\
             candidate = {:?}\nflag = {:?}\nfallback = true\n",
            route.id, route.prefix, route.candidate, route.flag
        )
        .ok();
        if !route.methods.is_empty() {
            writeln!(out, "methods = {:?}", route.methods).ok();
        }
        if matches!(route.who, Who::Administrators) {
            out.push_str("auth = { required = true, roles = [\"admin\"] }\n");
        }
    }
    out.push_str(
        r#"
[[routes]]
id = "administration"
prefix = "/api/admin"
legacy = "legacy"
auth = { required = true, roles = ["admin"] }

[[routes]]
id = "everything-else"
prefix = "/"
legacy = "legacy"
"#,
    );
    out
}

/// `timeout` is above the 30 s after which a service itself answers 503, so that its answer arrives.
/// `max_in_flight` keeps one that is slow from holding all that the gateway has.
fn upstreams(out: &mut String, offset: u16) {
    for (name, port) in UPSTREAMS {
        write!(
            out,
            "\n[upstreams.{name}]\nendpoints = [\"http://127.0.0.1:{}\"]\ntimeout = \"35s\"\n\
             max_in_flight = 512\n",
            port + offset
        )
        .ok();
    }
}

/// Writes the file when it is not there; refuses one that was written for other ports.
///
/// # Errors
/// When the folder is not writable, or the file is for another `--port-offset`.
pub(super) fn ensure(file: &Path, offset: u16, fresh: &str) -> anyhow::Result<()> {
    if !file.exists() {
        return std::fs::write(file, fresh)
            .with_context(|| format!("cannot write {} (--data-dir)", file.display()));
    }
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {} (--data-dir)", file.display()))?;
    let legacy = format!("127.0.0.1:{}", 9000 + offset);
    if !text.contains(&legacy) {
        bail!(
            "{} does not mention {legacy}: it was written for another --port-offset. Use that one, \
             change the ports in the file, or remove the file",
            file.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_a_valid_gateway_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let key = "0123456789abcdef0123456789abcdef";
        let fresh = text(100, &folder.path().join("flags.json"), key);
        ensure(&file, 100, &fresh).unwrap();
        let config = gateway::Config::load(&file).unwrap();
        assert_eq!(config.listen.port(), 8180);
        assert_eq!(config.routes.len(), MOVES.len() + 2);
    }

    #[test]
    fn the_compose_deployment_has_the_same_routes_and_flags() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let key = "0123456789abcdef0123456789abcdef";
        std::fs::write(&file, text(0, Path::new("flags.json"), key)).unwrap();
        let up = gateway::Config::load(&file).unwrap();
        let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/gateway/gateway.toml");
        // Off loopback it needs tokens, which are secrets and so not in the file.
        let deployed = gateway::Config::load_for_elsewhere(&deployed).unwrap();
        assert_eq!(deployed.routes, up.routes);
        assert_eq!(deployed.flags, up.flags);
        let bulkheads = |config: &gateway::Config| -> Vec<_> {
            let upstreams = config.upstreams.iter();
            upstreams
                .map(|(name, upstream)| (name.clone(), upstream.max_in_flight))
                .collect()
        };
        assert_eq!(bulkheads(&deployed), bulkheads(&up));
        assert!(bulkheads(&up).iter().all(|(_, most)| most.is_some()));
        assert_eq!(
            (deployed.listen.port(), deployed.admin_listen.port()),
            (8080, 8081)
        );
    }

    #[test]
    fn a_file_for_other_ports_is_refused_with_the_settings_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let fresh = text(
            0,
            &folder.path().join("flags.json"),
            "0123456789abcdef0123456789abcdef",
        );
        ensure(&file, 0, &fresh).unwrap();
        ensure(&file, 0, "ignored").unwrap();
        let error = ensure(&file, 100, "ignored").unwrap_err().to_string();
        assert!(error.contains("--port-offset"), "{error}");
    }
}
