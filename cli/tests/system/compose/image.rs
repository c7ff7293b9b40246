//! The Dockerfile, which cannot be built here: a linter reads it, and what it relies on is looked at.

use std::process::Command;

use super::{rendered::Compose, root, secrets};

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The instruction's lines, put together as one.
fn instruction(dockerfile: &str, name: &str) -> String {
    let joined = dockerfile.replace("\\\n", " ");
    let lines: Vec<&str> = joined
        .lines()
        .filter(|line| line.split_whitespace().next() == Some(name))
        .collect();
    let last = lines.last().unwrap_or_else(|| panic!("no {name}"));
    last.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_linter_finds_nothing_in_the_dockerfile() {
    let linter = testkit::python("hadolint").expect("a linter");
    let output = Command::new(linter)
        .arg("--failure-threshold=style")
        .arg(root().join("Dockerfile"))
        .output()
        .expect("it starts");
    let findings = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{findings}");
}

#[test]
fn the_image_builds_with_our_toolchain_and_runs_as_nobody_from_a_small_pinned_base() {
    let dockerfile = text("Dockerfile");
    let toolchain = text("rust-toolchain.toml");
    let version = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = "))
        .expect("a channel")
        .trim_matches('"');
    assert!(dockerfile.contains(&format!("ARG RUST_VERSION={version}\n")));
    let bases: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "))
        .collect();
    for base in &bases {
        let stage = base.split(' ').next().expect("a name");
        let is_stage = bases
            .iter()
            .any(|other| other.ends_with(&format!(" AS {stage}")));
        let tag = stage.rsplit_once(':').map(|(_, tag)| tag);
        assert!(is_stage || tag.is_some_and(|tag| tag != "latest"), "{base}");
    }
    assert_eq!(
        bases.last(),
        Some(&"gcr.io/distroless/static-debian12:nonroot")
    );
    assert_eq!(instruction(&dockerfile, "USER"), "USER 65532:65532");
    assert_eq!(instruction(&dockerfile, "STOPSIGNAL"), "STOPSIGNAL SIGTERM");
}

#[test]
fn the_image_and_compose_ask_for_health_in_the_same_way_and_expose_the_same_ports() {
    let dockerfile = text("Dockerfile");
    let health = instruction(&dockerfile, "HEALTHCHECK");
    let (_, asked) = health.split_once("CMD ").expect("a command");
    let asked: Vec<String> = serde_json::from_str(asked).expect("the exec form: no shell is there");
    for (name, service) in Compose::render(&secrets("core")).parts() {
        let check = service.healthcheck.as_ref().expect("a health check");
        assert_eq!(check.test[0], "CMD");
        assert_eq!(check.test[1..], asked, "{name}");
    }
    let exposed = instruction(&dockerfile, "EXPOSE");
    for (name, port) in cli::endpoints::SERVICES {
        assert!(exposed.contains(&format!(" {port}")), "{name}");
    }
}

#[test]
fn every_program_that_may_be_in_the_image_can_be_asked_for_its_health() {
    let services = cli::parts::NAMES.map(|name| format!("services/{name}/src/main.rs"));
    let others = ["event-store/src/main.rs", "gateway/src/main.rs"].map(String::from);
    for path in services.iter().chain(&others) {
        // Either the life that all parts share, which knows `--probe`, or one of its own that does.
        let text = text(path);
        let can = ["service::main::<", "start::main::<", "probe::ready(config."];
        assert!(
            can.iter().any(|way| text.contains(way)),
            "{path} has no --probe"
        );
    }
}

/// What `.dockerignore` lets through is enough to build every member of the workspace.
#[test]
fn the_build_gets_every_member_of_the_workspace_and_what_they_embed() {
    let ignore = text(".dockerignore");
    let let_through: Vec<&str> = ignore.lines().filter_map(|l| l.strip_prefix('!')).collect();
    let manifest: toml::Table = text("Cargo.toml").parse().expect("TOML");
    let members = manifest["workspace"]["members"].as_array().expect("a list");
    for member in members {
        let folder = member.as_str().expect("a path").split('/').next();
        assert!(let_through.contains(&folder.expect("a folder")), "{member}");
    }
    for needed in ["Cargo.toml", "Cargo.lock", "migrations"] {
        assert!(let_through.contains(&needed), "{needed}");
    }
    for path in let_through {
        assert!(
            root().join(path).exists(),
            "{path} is let through and is not there"
        );
    }
    assert!(!ignore.lines().any(|line| line.contains(".env")));
}
