//! The gateway's configuration of the distributed form: the routes and flags of `banyan up`, over
//! separate processes.

use std::{collections::BTreeMap, fmt::Write, path::Path};

/// The flag that moves what players play with.
pub(super) const QUIZ: &str = "quiz-cutover";
const AUTH: &str = "auth-cutover";

/// Route, prefix, flag, candidate, methods.
const MOVES: &[(&str, &str, &str, &str, &[&str])] = &[
    ("auth", "/api/auth", AUTH, "auth", &[]),
    ("keys", "/.well-known/jwks.json", AUTH, "auth", &[]),
    ("questions", "/api/questions", QUIZ, "question", &[]),
    ("answers", "/api/answers", QUIZ, "quiz", &[]),
    ("stats", "/api/stats", QUIZ, "quiz", &[]),
    (
        "achievements",
        "/api/achievements",
        QUIZ,
        "achievement",
        &[],
    ),
    ("leaderboard", "/api/leaderboard", QUIZ, "leaderboard", &[]),
    (
        "curation-reads",
        "/api/admin/questions",
        "curation-reads",
        "admin",
        &["GET", "HEAD"],
    ),
    (
        "curation-writes",
        "/api/admin/questions",
        "curation-writes",
        "admin",
        &["POST", "PUT", "DELETE"],
    ),
];

/// The file's text; `ports` names every part.
pub(super) fn text(ports: &BTreeMap<&str, u16>, log: &str, folder: &Path) -> String {
    let local = |part: &str| format!("127.0.0.1:{}", ports[part]);
    let mut out = String::new();
    let mut add = |line: String| {
        // Writing to a String cannot fail.
        writeln!(out, "{line}").ok();
    };
    add(format!("listen = {:?}", local("gateway")));
    add(format!("admin_listen = {:?}", local("operators")));
    add(format!("log = {log:?}\naccess_log = \"off\""));
    add(format!("state_file = {:?}", folder.join("flags.json")));
    add("cookie_key = \"a load's own key, good nowhere else\"".to_owned());
    add("[auth]\n[[auth.issuers]]\nissuer = \"banyan-auth\"\naudience = \"banyan\"".to_owned());
    add(format!(
        "jwks_url = \"http://{}/.well-known/jwks.json\"",
        local("auth")
    ));
    for part in super::distributed::SERVICES {
        add(format!(
            "[upstreams.{part}]\nendpoints = [\"http://{}\"]\ntimeout = \"35s\"",
            local(part)
        ));
    }
    for flag in [AUTH, QUIZ, "curation-reads", "curation-writes"] {
        add(format!(
            "[flags.{flag}]\npercent = 0.0\nsubject = [\"jwt:sub\", \"cookie:banyan_subject\"]"
        ));
    }
    for (id, prefix, flag, candidate, methods) in MOVES {
        add(format!(
            "[[routes]]\nid = {id:?}\nprefix = {prefix:?}\nlegacy = \"legacy\"\n\
             candidate = {candidate:?}\nflag = {flag:?}\nfallback = true"
        ));
        if !methods.is_empty() {
            add(format!("methods = {methods:?}"));
        }
    }
    add("[[routes]]\nid = \"rest\"\nprefix = \"/\"\nlegacy = \"legacy\"".to_owned());
    out
}
