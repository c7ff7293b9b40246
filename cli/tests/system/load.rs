//! The load, as small as it gets: that it measures a real system, judges and reports.

use std::{collections::BTreeMap, path::Path};

use clap::Parser;
use cli::endpoints::SERVICES;
use load::{Arguments, system::routing};

use crate::BANYAN;

/// That compose's are those of `banyan up` is held beside `up`.
#[test]
fn the_distributed_form_has_the_routes_and_flags_that_are_deployed() {
    let parts = SERVICES.iter().map(|(name, _)| *name);
    let ports: BTreeMap<&str, u16> = parts
        .chain(["gateway", "operators"])
        .zip(20_000..)
        .collect();
    let folder = testkit::temp_dir();
    let read = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a writable folder");
        gateway::Config::load(&file).unwrap_or_else(|faults| panic!("{faults}"))
    };
    let text = routing::text(&ports, "sqlite:log.db", folder.path()).expect("a file");
    let measured = read("measured.toml", text);
    let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/gateway/gateway.toml");
    let deployed = std::fs::read_to_string(deployed).expect("the deployed file");
    // Off loopback it needs tokens, which are secrets and so not in the file.
    let token = "admin_tokens = [{ name = \"test\", token = \"0123456789abcdef\" }]\n";
    let deployed = read("deployed.toml", format!("{token}{deployed}"));
    assert_eq!(measured.routes, deployed.routes);
    assert_eq!(measured.flags, deployed.flags);

    assert_eq!(measured.listen.port(), ports["gateway"]);
    assert_eq!(measured.admin_listen.port(), ports["operators"]);
    for (name, upstream) in &measured.upstreams {
        let there = format!("127.0.0.1:{}", ports[name.as_str()]);
        let endpoints = format!("{:?}", upstream.endpoints);
        assert!(endpoints.contains(&there), "{name}: {endpoints}");
    }
}

#[tokio::test]
async fn a_small_load_on_the_embedded_form_passes_and_is_reported() {
    let folder = testkit::temp_dir();
    let report = folder.path().join("load.html");
    let line = [
        "load",
        "--banyan",
        BANYAN,
        "--report",
        report.to_str().expect("UTF-8"),
        "--seed",
        "7",
    ];
    // Few arrivals, for a machine that does other things; the latency bar is for measurements, so
    // it is out of the way here.
    let small = "--rate 5 --seconds 3 --warm-up 0 --players 10 --p99 60000";
    let arguments = line.into_iter().chain(small.split_whitespace());
    let arguments = Arguments::try_parse_from(arguments).expect("good arguments");
    let run = load::run(&arguments).await.expect("a system to measure");

    let judged: Vec<_> = run.bars.iter().map(|bar| (&bar.name, bar.passed)).collect();
    let text = std::fs::read_to_string(report.with_extension("md")).expect("a summary");
    // Whether the generator got its processor in time is the machine's affair.
    let others = judged
        .iter()
        .filter(|(name, _)| !name.contains("generator"));
    assert!(
        others.clone().all(|(_, passed)| *passed == Some(true)),
        "{text}"
    );
    assert_eq!(others.count(), 3, "{text}");
    let phase = &run.phases[0];
    let answers = phase.answers.as_ref().expect("answers");
    assert!(answers.count > 0 && answers.corrected.p50 > 0.0, "{text}");
    assert!(phase.events.is_some_and(|events| events > 0), "{text}");
    let parts: Vec<_> = phase.costs.iter().map(|cost| cost.part.as_str()).collect();
    assert!(parts.contains(&"banyan up"), "{parts:?}");
    let page = std::fs::read_to_string(&report).expect("a page");
    assert!(
        page.contains("POST /api/answers"),
        "the answers are in the report"
    );
    let json = std::fs::read(report.with_extension("json")).expect("figures");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["phases"][0]["faults"], 0);
}
