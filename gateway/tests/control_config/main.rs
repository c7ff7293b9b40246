//! The configuration file: what is accepted, and that every fault is told at once.

mod auth;
#[expect(
    dead_code,
    reason = "the tests of the configuration want other halves of the keys than those of tokens"
)]
#[path = "../proxy/keys.rs"]
mod pairs;

use gateway::config::{Config, Fault, Language};
use proptest::prelude::*;

/// The sample of the documentation, without what this version refuses.
const SAMPLE: &str = include_str!("../../examples/quiz.toml");

fn faults(text: &str) -> Vec<Fault> {
    match Config::from_text(text, Language::Toml) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0,
    }
}

fn keys(text: &str) -> Vec<String> {
    faults(text).into_iter().map(|fault| fault.key).collect()
}

/// The smallest configuration, with more text after it.
fn small(more: &str) -> String {
    format!(
        r#"
        upstreams.legacy.endpoints = ["http://127.0.0.1:9000"]
        upstreams.quiz.endpoints = ["http://127.0.0.1:9003"]
        [[routes]]
        id = "all"
        prefix = "/"
        legacy = "legacy"
        {more}
        "#
    )
}

#[test]
fn the_sample_is_valid() {
    let config = Config::from_text(SAMPLE, Language::Toml).expect("a valid sample");
    assert_eq!(config.listen.port(), 8080);
    let flag = &config.flags["quiz-cutover"];
    assert_eq!(flag.percent.hundredths(), 2500);
    assert_eq!(flag.subject.len(), 2);
    let answers = config.route("answers").expect("the route");
    assert_eq!(answers.methods.as_ref().map(Vec::len), Some(2));
    assert_eq!(
        answers
            .candidate
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("quiz")
    );
}

#[test]
fn the_example_with_every_key_is_valid() {
    let text = include_str!("../../examples/every-key.toml");
    let config = Config::from_text(text, Language::Toml).expect("a valid example");
    assert!(config.tls.is_some());
    assert_eq!(config.limits.max_connections_per_address, Some(100));
    let quiz = &config.upstreams["quiz"];
    assert_eq!(quiz.endpoints.len(), 2);
    assert!(quiz.health.is_some() && quiz.breaker.is_some() && quiz.retry.is_some());
    assert_eq!(config.auth.map(|auth| auth.issuers.len()), Some(2));
}

#[test]
fn what_the_readme_tells_to_write_is_valid() {
    let readme = include_str!("../../README.md");
    let blocks: Vec<_> = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 4);
    assert_eq!(faults(blocks[0]), []);
    assert_eq!(faults(&blocks.concat()), []);
}

#[test]
fn yaml_says_the_same_as_toml() {
    let yaml = r#"
upstreams: { legacy: { endpoints: ["http://127.0.0.1:9000"], timeout: 2m } }
routes: [{ id: all, prefix: /, legacy: legacy }]
"#;
    let toml = r#"
        upstreams.legacy = { endpoints = ["http://127.0.0.1:9000"], timeout = "2m" }
        routes = [{ id = "all", prefix = "/", legacy = "legacy" }]
    "#;
    let yaml = Config::from_text(yaml, Language::Yaml).expect("valid YAML");
    assert_eq!(
        yaml,
        Config::from_text(toml, Language::Toml).expect("valid TOML")
    );
    assert_eq!((yaml.listen.port(), yaml.admin_listen.port()), (8080, 8081));
}

#[test]
fn all_faults_are_told_at_once_with_their_keys() {
    let text = r#"
        listen = "here"
        admin_listen = "0.0.0.0:8081"
        lisen = 1
        log = "mysql://x"
        cookie_key = "short"
        trusted_proxies = ["10.0.0.0/33", "10.0.0.0/8"]
        [upstreams.legacy]
        endpoints = []
        timeout = "15"
        [upstreams.quiz]
        endpoint = ["http://127.0.0.1:9003"]
        [flags.f]
        percent = 12.345
        subject = ["session"]
        rules = [{ header = "x-tenant" }]
        [[routes]]
        id = "answers"
        prefix = "api"
        legacy = "legcy"
        [[routes]]
        id = "other"
        prefix = "/"
        legacy = "legcy"
        candidate = "quiz"
        methods = ["get"]
        [[routes]]
        prefix = "/x"
        legacy = "legacy"
    "#;
    let expected = [
        "admin_tokens",
        "cookie_key",
        "flags.f.percent",
        "flags.f.rules[0].equals",
        "flags.f.subject[0]",
        "lisen",
        "listen",
        "log",
        "routes.answers.prefix",
        "routes.other.flag",
        "routes.other.legacy",
        "routes.other.methods",
        "routes[2].id",
        "trusted_proxies[0]",
        "upstreams.legacy.endpoints",
        "upstreams.legacy.timeout",
        "upstreams.quiz.endpoint",
        "upstreams.quiz.endpoints",
    ];
    let mut keys = keys(text);
    keys.sort();
    assert_eq!(keys, expected);
}

#[test]
fn a_fault_says_what_would_be_right() {
    let text = small("candidate = \"quizz\"\nflag = \"f\"\n[flags.f]\nprecent = 5");
    let told: Vec<_> = faults(&text).iter().map(ToString::to_string).collect();
    assert!(
        told.contains(
            &"routes.all.candidate: no upstream `quizz`; declared: legacy, quiz".to_owned()
        ),
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|it| it.starts_with("flags.f.precent: is unknown; known here: percent"))
    );
}

#[test]
fn a_file_that_is_no_toml_is_one_fault_that_tells_the_place() {
    let told = faults("listen = \"127.0.0.1:8080\"\nroutes = [[\n");
    assert_eq!(told.len(), 1);
    assert!(told[0].message.contains("line"), "{told:?}");
}

#[test]
fn what_this_version_does_not_do_is_refused_and_not_ignored() {
    let told = faults(&small("[routes.shadow]\npercent = 100.0"));
    let fault = told.iter().find(|fault| fault.key == "routes.all.shadow");
    let fault = fault.unwrap_or_else(|| panic!("{told:?}"));
    assert!(
        fault.message.contains("not part of this version"),
        "{fault}"
    );
}

#[test]
fn two_routes_may_share_a_prefix_only_for_different_methods_or_hosts() {
    let second = |more: &str| {
        small(&format!(
            "methods = [\"GET\"]\n[[routes]]\nid = \"b\"\nprefix = \"/\"\nlegacy = \"legacy\"\n{more}"
        ))
    };
    assert_eq!(
        keys(&second("methods = [\"GET\", \"PUT\"]")),
        ["routes.b.prefix"]
    );
    assert!(faults(&second("methods = [\"PUT\"]")).is_empty());
    assert!(faults(&second("")).is_empty(), "a route for all the others");
    assert!(faults(&second("methods = [\"GET\"]\nhost = \"a.example\"")).is_empty());
}

#[test]
fn prefixes_that_would_never_match_are_refused() {
    for prefix in [
        "", "api", "/a/../b", "/a//b", "/a%20b", "/a;b", "/a?b", "/./a", "/a b",
    ] {
        let text = small("").replace("prefix = \"/\"", &format!("prefix = \"{prefix}\""));
        assert_eq!(keys(&text), ["routes.all.prefix"], "{prefix:?}");
    }
}

#[test]
fn tokens_are_required_off_loopback_and_long_enough() {
    let text = |more: &str| format!("admin_listen = \"0.0.0.0:8081\"\n{more}\n{}", small(""));
    assert_eq!(keys(&text("")), ["admin_tokens"]);
    let token = "admin_tokens = [{ name = \"ops\", token = \"0123456789abcdef\" }]";
    assert!(faults(&text(token)).is_empty());
    let short = "admin_tokens = [{ name = \"ops\", token = \"secret\", role = \"root\" }]";
    let keys = keys(&text(short));
    assert!(
        keys.contains(&"admin_tokens[0].token".to_owned()),
        "{keys:?}"
    );
    assert!(
        keys.contains(&"admin_tokens[0].role".to_owned()),
        "{keys:?}"
    );
}

#[test]
fn what_bounds_load_and_repeats_is_read_whole() {
    let text = |top: &str, route: &str| format!("{top}\n{}", small(route));
    let top = "max_in_flight = 100\n\
               upstreams.legacy.fallback = { share_percent = 25, budget_percent = 10 }";
    let sound = text(top, "deadline = \"3s\"\nretry_keyed = true");
    assert_eq!(faults(&sound), []);
    let config = Config::from_text(&sound, Language::Toml).unwrap();
    assert_eq!(config.max_in_flight, 100);
    let fallback = config.upstreams.values().next().unwrap().fallback;
    assert_eq!((fallback.share_percent, fallback.budget_percent), (25, 10));
    let route = config.route("all").unwrap();
    assert_eq!(route.deadline, Some(std::time::Duration::from_secs(3)));
    assert!(route.retry_keyed);
    let share = "upstreams.legacy.fallback.share_percent";
    let budget = "upstreams.legacy.fallback.budget_percent";
    for (top, route, key) in [
        ("max_in_flight = 0".to_owned(), "", "max_in_flight"),
        (format!("{share} = 101"), "", share),
        (format!("{budget} = -1"), "", budget),
        (String::new(), "deadline = \"soon\"", "routes.all.deadline"),
        (
            String::new(),
            "retry_keyed = \"yes\"",
            "routes.all.retry_keyed",
        ),
    ] {
        assert_eq!(keys(&text(&top, route)), [key]);
    }
}

#[test]
fn hosts_that_differ_by_the_dot_at_the_end_are_one() {
    let host = |host: &str, id: &str| {
        format!(
            "[[routes]]\nid = \"{id}\"\nprefix = \"/\"\nlegacy = \"legacy\"\nhost = \"{host}\"\n"
        )
    };
    let twice = [host("a.example", "a"), host("A.example.", "b")].concat();
    assert_eq!(keys(&small(&twice)), ["routes.b.prefix"]);
    let root = keys(&small(&host(".", "a")));
    assert!(root.contains(&"routes.a.host".to_owned()), "{root:?}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = Config::from_text(&text, Language::Toml);
        let _ = Config::from_text(&text, Language::Yaml);
    }
}

#[test]
fn a_value_of_any_kind_in_any_place_is_valid_or_a_fault_of_that_key() {
    let keys = [
        "listen",
        "admin_tokens",
        "trusted_proxies",
        "upstreams",
        "upstreams.legacy",
        "upstreams.legacy.endpoints",
        "upstreams.legacy.breaker",
        "flags",
        "flags.f",
        "flags.f.percent",
        "flags.f.rules",
        "routes",
        "auth",
        "auth.issuers",
    ];
    let values = [
        "1",
        "-1",
        "1.5",
        "true",
        "\"text\"",
        "[]",
        "[1]",
        "[[]]",
        "[{}]",
        "{}",
        "{ a = 1 }",
        "1979-05-27",
        "nan",
        "9223372036854775807",
    ];
    for key in keys {
        for value in values {
            let told = faults(&format!("{key} = {value}"));
            let first = key.split('.').next().unwrap_or(key);
            let is_valid = ["[]", "{}", "1", "1.5"].contains(&value) || first == "routes";
            let is_told = told.iter().any(|fault| fault.key.starts_with(first));
            assert!(is_told || is_valid, "{key} = {value}: {told:?}");
        }
    }
}
