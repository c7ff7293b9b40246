//! The files of the parts, and the operator's.

use std::fmt::Write;

use super::{ADMINISTRATORS_PASSWORD, PARTS, SERVICES, Setup, System};

/// What the setup adds to this file or table.
fn setting<'a>(setup: &'a Setup, place: &'a str) -> impl Iterator<Item = &'a str> {
    let here = setup
        .settings
        .iter()
        .filter(move |(name, _)| *name == place);
    here.map(|(_, line)| line.as_str())
}

impl System {
    pub(super) fn write_configurations(&self, setup: &Setup) {
        let databases = &setup.databases;
        let database = |part: &str, of: &str| setup.users.url(part, databases[of].url());
        let nats: Vec<String> = self.brokers.iter().map(testkit::Nats::url).collect();
        let nats = nats.join(",");
        let key = self.folder.path().join("signing.pem");
        let jwks = format!("{}/.well-known/jwks.json", self.url("auth"));
        for part in PARTS.into_iter().filter(|part| *part != "gateway") {
            let name = part.trim_end_matches("-2");
            let own = (setup.reached_as)(&database(name, name));
            let log = database(name, "log");
            let mut text = format!("listen = \"127.0.0.1:{}\"\n", self.ports[part]);
            let mut add = |line: String| writeln!(text, "{line}").expect("a String takes all");
            if matches!(name, "log" | "auth" | "quiz" | "leaderboard") {
                add(format!("personal_keys = {:?}", testkit::PERSONAL_KEYS));
            }
            if part == "log" {
                add(format!("log = {log:?}\nnats = {nats:?}"));
            } else {
                add(format!("database = {own:?}"));
            }
            if matches!(part, "legacy" | "auth") {
                add(format!("signing_key = {key:?}"));
            }
            if !matches!(part, "legacy" | "log") {
                add(format!("log = {log:?}\nnats = {nats:?}"));
            }
            if !matches!(part, "legacy" | "log" | "maintenance") {
                let legacy = database(name, "legacy");
                add(format!("legacy_database = {legacy:?}"));
            }
            if !matches!(part, "legacy" | "log" | "auth") {
                add(format!("jwks_url = {jwks:?}"));
            }
            for line in setting(setup, name) {
                add(line.to_owned());
            }
            if part == "admin" {
                add("legacy_follow = \"1s\"".to_owned());
            }
            if part == "maintenance" {
                let archive = self.folder.path().join("archive");
                add(format!("archive_dir = {archive:?}"));
            }
            if matches!(part, "legacy" | "auth") {
                // A table: it is the last.
                add(format!(
                    "[administrator]\nemail = \"admin@node-learn.example\"\n\
                     password = {ADMINISTRATORS_PASSWORD:?}"
                ));
            }
            std::fs::write(self.file(part), text).expect("a writable folder");
        }
        let log = database("gateway", "log");
        std::fs::write(self.file("gateway"), self.gateway(setup, &log, &jwks)).expect("writable");
        let mut operator = format!(
            "gateway = {:?}\nadmin = {:?}\n[services]\n",
            self.url("gateway"),
            self.url("operators")
        );
        let text_above =
            setting(setup, "operator").fold(String::new(), |all, line| all + line + "\n");
        operator.insert_str(0, &text_above);
        for part in SERVICES.iter().chain(&["log"]) {
            writeln!(operator, "{part} = {:?}", self.urls(part)).expect("a String takes all");
        }
        std::fs::write(self.file("operator"), operator).expect("a writable folder");
    }

    /// Where a service is: quiz runs twice.
    fn urls(&self, part: &str) -> Vec<String> {
        let mut urls = vec![self.url(part)];
        if part == "quiz" {
            urls.push(self.url("quiz-2"));
        }
        urls
    }

    fn gateway(&self, setup: &Setup, log: &str, jwks: &str) -> String {
        let mut text = format!(
            "listen = \"127.0.0.1:{}\"\nadmin_listen = \"127.0.0.1:{}\"\nlog = {log:?}\n\
             state_file = {:?}\naccess_log = \"off\"\n\
             [auth]\n[[auth.issuers]]\nissuer = \"banyan-auth\"\naudience = \"banyan\"\n\
             jwks_url = {jwks:?}\n",
            self.ports["gateway"],
            self.ports["operators"],
            self.folder.path().join("flags.json"),
        );
        let text_above =
            setting(setup, "gateway").fold(String::new(), |all, line| all + line + "\n");
        text.insert_str(0, &text_above);
        let mut add = |line: String| writeln!(text, "{line}").expect("a String takes all");
        for part in SERVICES {
            let endpoints = self.urls(part);
            add(format!("[upstreams.{part}]\nendpoints = {endpoints:?}"));
            let place = format!("upstreams.{part}");
            for line in setting(setup, &place) {
                add(line.to_owned());
            }
        }
        for flag in ["auth-cutover", "quiz-cutover"] {
            add(format!(
                "[flags.{flag}]\npercent = 0.0\nsubject = [\"jwt:sub\", \"ip\"]"
            ));
        }
        for (prefix, flag, candidate) in [
            ("/api/auth", "auth-cutover", "auth"),
            ("/api/questions", "quiz-cutover", "question"),
            ("/api/answers", "quiz-cutover", "quiz"),
            ("/api/stats", "quiz-cutover", "quiz"),
            ("/api/achievements", "quiz-cutover", "achievement"),
            ("/api/leaderboard", "quiz-cutover", "leaderboard"),
        ] {
            add(format!(
                "[[routes]]\nid = {:?}\nprefix = {prefix:?}\nlegacy = \"legacy\"\n\
                 candidate = {candidate:?}\nflag = {flag:?}\nfallback = true",
                prefix.trim_start_matches("/api/")
            ));
        }
        add("[[routes]]\nid = \"rest\"\nprefix = \"/\"\nlegacy = \"legacy\"".to_owned());
        text
    }
}
