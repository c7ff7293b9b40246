//! What must be true of docker-compose.yml whatever is in `.env`.

use std::{collections::BTreeSet, path::Path};

use chassis::shutdown::DRAIN;
use cli::endpoints::SERVICES;

use super::{
    rendered::{Compose, try_render},
    root, secrets, variables,
};

fn file() -> String {
    std::fs::read_to_string(root().join("docker-compose.yml")).expect("the file is there")
}

#[test]
fn every_part_is_there_on_its_port_in_both_profiles_and_watchers_in_one() {
    let compose = Compose::render(&secrets("full"));
    let of = |profile: &str| -> BTreeSet<&str> {
        let services = compose.services.iter();
        services
            .filter(|(_, service)| service.profiles.iter().any(|own| own == profile))
            .map(|(name, _)| name.as_str())
            .collect()
    };
    let mut core: BTreeSet<&str> = SERVICES.iter().map(|(name, _)| *name).collect();
    core.extend(["gateway", "postgres", "nats"]);
    assert_eq!(of("core"), core);
    core.extend(["prometheus", "grafana", "jaeger"]);
    assert_eq!(of("full"), core);

    for (name, port) in SERVICES {
        let key = format!("BANYAN_{}__LISTEN", name.to_uppercase());
        let service = &compose.services[*name];
        assert_eq!(service.environment[&key], format!("0.0.0.0:{port}"));
        assert_eq!(service.environment["BANYAN_PART"], *name);
    }
    for (name, service) in compose.parts() {
        assert_eq!(
            service.environment["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://jaeger:4318",
            "{name}"
        );
    }
}

#[test]
fn every_container_is_watched_restarted_bounded_and_stopped_in_time() {
    let compose = Compose::render(&secrets("core"));
    for (name, service) in &compose.services {
        let (_, tag) = service.image.rsplit_once(':').expect("a tag");
        assert_ne!(tag, "latest", "{name}");
        for mount in service.mounts() {
            if mount.is_volume() {
                assert!(compose.volumes.contains_key(mount.source), "{name}");
            } else {
                assert!(Path::new(mount.source).exists(), "{name}: {}", mount.source);
            }
        }
        if name == "operator" {
            continue;
        }
        assert!(service.healthcheck.is_some(), "{name}");
        assert_eq!(service.restart.as_deref(), Some("unless-stopped"), "{name}");
        assert!(service.networks.contains_key("backend"), "{name}");
        assert!(service.grace() > DRAIN, "{name}: {:?}", service.grace());
        for port in &service.ports {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for (needed, dependency) in &service.depends_on {
            let there = &compose.services[needed].profiles;
            assert!(
                service.profiles.iter().all(|own| there.contains(own)),
                "{name} needs {needed}, which is not in all its profiles"
            );
            assert!(dependency.condition.starts_with("service_"), "{name}");
        }
    }
    for (name, service) in compose.parts() {
        assert_eq!(service.user.as_deref(), Some("65532:65532"), "{name}");
        assert!(service.read_only, "{name}");
        assert_eq!(service.cap_drop, ["ALL"], "{name}");
        let needs = &service.depends_on;
        let waits = needs
            .values()
            .any(|needed| needed.condition == "service_healthy");
        assert!(waits, "{name} starts before what it needs is healthy");
    }
}

/// Whoever shares a network that is not internal with the gateway sees it at that network's address: a
/// name is looked up there first. Then all players would be one address to the limits of sign-ins.
#[test]
fn who_counts_clients_sees_the_gateway_in_the_network_that_is_trusted() {
    let compose = Compose::render(&secrets("core"));
    let gateway = &compose.services["gateway"].networks;
    for name in ["legacy", "auth"] {
        let service = &compose.services[name];
        let shared: Vec<_> = service.networks.keys().collect();
        let shared: Vec<_> = shared
            .into_iter()
            .filter(|it| gateway.contains_key(*it))
            .collect();
        assert_eq!(shared, ["backend"], "{name}");
        let subnet = &compose.networks["backend"]["ipam"]["config"][0]["subnet"];
        let key = format!("BANYAN_{}__TRUSTED_PROXIES", name.to_uppercase());
        let trusted: Vec<String> =
            serde_json::from_str(&service.environment[&key]).expect("a list");
        assert_eq!(trusted, [subnet.as_str().expect("a subnet")], "{name}");
    }
}

#[test]
fn who_ends_tls_in_front_of_the_gateway_is_told_to_it_by_one_line() {
    let told = |line: &str| {
        let compose = Compose::render(&format!("{}{line}", secrets("core")));
        compose.services["gateway"].environment["BANYAN_GATEWAY__TRUSTED_PROXIES"].clone()
    };
    assert_eq!(told(""), "[]");
    let line = "GATEWAY_TRUSTED_PROXIES=[\"172.28.214.1/32\"]\n";
    assert_eq!(told(line), "[\"172.28.214.1/32\"]");
}

#[test]
fn every_secret_comes_from_outside_and_a_missing_one_is_named() {
    let (first, second) = (secrets("core"), secrets("core"));
    let (one, other) = (Compose::render(&first), Compose::render(&second));
    let is_secret = |name: &str| {
        [
            "PASSWORD",
            "TOKEN",
            "COOKIE_KEY",
            "DATABASE",
            "__LOG",
            "__NATS",
        ]
        .iter()
        .any(|part| name.contains(part))
    };
    let mut seen = 0;
    for (name, service) in &one.services {
        for (variable, value) in service.environment.iter().filter(|(v, _)| is_secret(v)) {
            // BANYAN_LOG__LISTEN and its like name the part, not a secret.
            let is_setting = ["LISTEN", "FOLLOW"]
                .iter()
                .any(|part| variable.ends_with(part));
            if is_setting {
                continue;
            }
            seen += 1;
            let again = &other.services[name].environment[variable];
            assert_ne!(
                value, again,
                "{name}: {variable} is the same in every deployment"
            );
        }
    }
    assert!(seen > 40, "only {seen} secrets were looked at");

    let text = file();
    for name in variables(&first).keys() {
        if matches!(
            name.as_str(),
            "COMPOSE_PROFILES" | "OTEL_EXPORTER_OTLP_ENDPOINT"
        ) {
            continue;
        }
        let uses = text.matches(&format!("${{{name}")).count();
        let required = text.matches(&format!("${{{name}:?")).count();
        assert!(uses > 0 && uses == required, "{name}: {required} of {uses}");
    }
    let without: String = first
        .lines()
        .filter(|line| !line.starts_with("OPS_TOKEN="))
        .map(|line| format!("{line}\n"))
        .collect();
    let error = try_render(&without).expect_err("OPS_TOKEN is required");
    assert!(
        error.contains("OPS_TOKEN is not set, run deploy/secrets.sh\n"),
        "{error}"
    );
}

#[test]
fn the_example_names_what_the_script_writes_and_holds_no_secret() {
    let example = std::fs::read_to_string(root().join(".env.example")).expect("it is there");
    let example = variables(&example);
    let written = variables(&secrets("core"));
    assert_eq!(
        example.keys().collect::<Vec<_>>(),
        written.keys().collect::<Vec<_>>()
    );
    for (name, value) in example {
        assert!(value.is_empty() || name == "COMPOSE_PROFILES", "{name}");
    }
    let ignored = std::fs::read_to_string(root().join(".gitignore")).expect("it is there");
    assert!(ignored.lines().any(|line| line == "/.env"));
}
