//! Who may talk to whom: what the network policies let through is what the configuration needs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    cluster::{Cluster, Pod, list, selects, text},
    configuration::{self, POSTGRES_PORT},
};

/// From whom, to whom, on which port.
type Edges = BTreeSet<(String, String, u64)>;

#[derive(Clone, Copy)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }

    /// The keys of a policy's rules, and of a rule's peers.
    fn keys(self) -> (&'static str, &'static str) {
        match self {
            Self::Ingress => ("ingress", "from"),
            Self::Egress => ("egress", "to"),
        }
    }
}

/// The rules that hold for pods with these labels. None: no policy takes them, so all is allowed.
fn rules<'a>(
    cluster: &'a Cluster,
    labels: &BTreeMap<&str, &str>,
    direction: Direction,
) -> Option<Vec<&'a Value>> {
    let policies = cluster.of("NetworkPolicy").filter(|policy| {
        let types = list(&policy["spec"]["policyTypes"]);
        types.iter().any(|kind| kind == direction.name())
            && selects(&policy["spec"]["podSelector"], labels)
    });
    let mut found: Option<Vec<&Value>> = None;
    for policy in policies {
        let rules = list(&policy["spec"][direction.keys().0]);
        found.get_or_insert_default().extend(rules);
    }
    found
}

fn has_port(rule: &Value, port: u64) -> bool {
    list(&rule["ports"])
        .iter()
        .any(|known| known["port"] == port)
}

/// Whether pods with the labels `own` may talk with those with the labels `other`.
fn allowed(
    cluster: &Cluster,
    own: &BTreeMap<&str, &str>,
    other: &BTreeMap<&str, &str>,
    port: u64,
    direction: Direction,
) -> bool {
    let Some(rules) = rules(cluster, own, direction) else {
        return true;
    };
    rules.into_iter().any(|rule| {
        let peers = &rule[direction.keys().1];
        let is_peer = |peer: &Value| {
            peer["namespaceSelector"].is_null()
                && peer["podSelector"].is_object()
                && selects(&peer["podSelector"], other)
        };
        has_port(rule, port) && (peers.is_null() || list(peers).iter().any(is_peer))
    })
}

fn edges_of_the_policies(cluster: &Cluster) -> Edges {
    let pods = cluster.pods();
    let mut edges = Edges::new();
    for (from, to) in pods
        .iter()
        .flat_map(|from| pods.iter().map(move |to| (from, to)))
    {
        for port in to.ports() {
            if allowed(cluster, &from.labels, &to.labels, port, Direction::Egress)
                && allowed(cluster, &to.labels, &from.labels, port, Direction::Ingress)
            {
                edges.insert((from.name.to_owned(), to.name.to_owned(), port));
            }
        }
    }
    edges
}

/// Each address in a pod's settings and files that names a Service of the cluster.
fn edges_of_the_configuration(cluster: &Cluster) -> Edges {
    let pods = cluster.pods();
    let mut edges = Edges::new();
    for from in &pods {
        let settings = configuration::settings(cluster, from);
        let files = configuration::files(cluster, from);
        let texts = settings.iter().map(|(_, value)| value);
        for (host, port) in texts.chain(files.values()).flat_map(|text| addresses(text)) {
            // `nats-0.nats-peers` is a pod of a headless Service.
            let service = host.rsplit('.').next().unwrap_or_default();
            if let Some(service) = cluster.find("Service", service) {
                let to = pods
                    .iter()
                    .find(|pod| is_behind(service, pod))
                    .expect("a pod");
                edges.insert((from.name.to_owned(), to.name.to_owned(), port));
            }
        }
    }
    edges
}

fn is_behind(service: &Value, pod: &Pod<'_>) -> bool {
    let selector = serde_json::json!({ "matchLabels": service["spec"]["selector"] });
    selects(&selector, &pod.labels)
}

/// Every `scheme://user@host:port` of a text, as host and port.
fn addresses(text: &str) -> Vec<(String, u64)> {
    let behind = text.split("://").skip(1);
    let authorities = behind.filter_map(|rest| {
        let end = rest
            .find(|c: char| "/\",' \n".contains(c))
            .unwrap_or(rest.len());
        let authority = rest[..end].rsplit('@').next()?;
        let (host, port) = authority.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?))
    });
    authorities.collect()
}

#[test]
fn policies_let_through_what_the_configuration_needs_and_nothing_else() {
    for cluster in Cluster::all() {
        let needed = edges_of_the_configuration(&cluster);
        // So that an error of this test's own reading does not pass for an empty need.
        for edge in [
            ("gateway", "quiz", 9003),
            ("quiz", "auth", 9001),
            ("nats", "nats", 6222),
            ("log", "nats", 4222),
        ] {
            let edge = (edge.0.to_owned(), edge.1.to_owned(), edge.2);
            assert!(needed.contains(&edge), "{}: {edge:?}", cluster.overlay);
        }
        assert_eq!(
            edges_of_the_policies(&cluster),
            needed,
            "{}",
            cluster.overlay
        );
    }
}

/// Every part is told of the same collector, in another namespace, and may reach it.
#[test]
fn traces_go_where_the_policies_let_them() {
    for overlay in ["staging", "prod", "prod-canary"] {
        let cluster = Cluster::render(overlay);
        for pod in cluster.pods().iter().filter(|pod| pod.part().is_some()) {
            let what = format!("{overlay}: {}", pod.name);
            let settings = configuration::settings(&cluster, pod);
            let told = settings
                .iter()
                .find(|(name, _)| name == configuration::TRACES);
            let (_, endpoint) = told.unwrap_or_else(|| panic!("{what}: no traces"));
            let (host, port) = addresses(endpoint).remove(0);
            let (service, namespace) = host.split_once('.').expect("another namespace");
            let peer = serde_json::json!({
                "namespaceSelector":
                    { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
                "podSelector": { "matchLabels": { "app.kubernetes.io/name": service } },
            });
            let rules = rules(&cluster, &pod.labels, Direction::Egress).expect("policies");
            let reaches =
                |rule: &&Value| has_port(rule, port) && list(&rule["to"]) == [peer.clone()];
            assert!(rules.iter().any(reaches), "{what}: {endpoint}");
        }
    }
}

#[test]
fn a_pod_without_a_policy_of_its_own_talks_to_nobody() {
    for cluster in Cluster::all() {
        let stranger = BTreeMap::from([("app.kubernetes.io/name", "stranger")]);
        for pod in cluster.pods() {
            for port in pod.ports() {
                let goes = allowed(&cluster, &stranger, &pod.labels, port, Direction::Egress);
                assert!(!goes, "{}: {}", cluster.overlay, pod.name);
                let comes = allowed(&cluster, &stranger, &pod.labels, port, Direction::Ingress);
                assert!(!comes, "{}: {}", cluster.overlay, pod.name);
            }
        }
    }
}

#[test]
fn operators_reach_every_part_and_only_the_gateways_data_port_is_open_to_the_world() {
    for cluster in Cluster::all() {
        let operator = BTreeMap::from([("banyan.dev/role", "operator")]);
        for pod in cluster.pods().iter().filter(|pod| pod.part().is_some()) {
            let what = format!("{}: {}", cluster.overlay, pod.name);
            let port = pod.containers()[0]["ports"][0]["containerPort"]
                .as_u64()
                .expect("a port");
            assert!(
                allowed(&cluster, &operator, &pod.labels, port, Direction::Egress),
                "{what}"
            );
            assert!(
                allowed(&cluster, &pod.labels, &operator, port, Direction::Ingress),
                "{what}"
            );
            for rule in rules(&cluster, &pod.labels, Direction::Ingress).expect("policies") {
                let is_open = rule["from"].is_null();
                let is_data = pod.name == "gateway" && has_port(rule, 8080);
                assert_eq!(is_open, is_data, "{what}: {rule}");
            }
        }
    }
}

/// The blocks of addresses outside of the cluster that a rule lets through.
fn blocks(rule: &Value) -> Vec<&Value> {
    let peers = list(&rule["to"]).iter();
    peers
        .map(|peer| &peer["ipBlock"])
        .filter(|block| block.is_object())
        .collect()
}

/// Whether these are whole families of addresses: the internet.
fn is_internet(blocks: &[&Value]) -> bool {
    blocks
        .iter()
        .any(|block| text(&block["cidr"]).ends_with("/0"))
}

/// Where the database is outside of the cluster, its clients and nobody else may leave for it; who sends
/// mails and asks OpenID providers may leave for the internet, without the networks around the cluster.
#[test]
fn whoever_has_a_database_reaches_it_and_nobody_else_leaves_the_cluster() {
    for overlay in ["staging", "prod", "prod-canary"] {
        let cluster = Cluster::render(overlay);
        for pod in cluster.pods() {
            let rules = rules(&cluster, &pod.labels, Direction::Egress).expect("policies");
            let leaves = rules.into_iter().filter(|rule| !blocks(rule).is_empty());
            let (internet, leaves): (Vec<_>, Vec<_>) =
                leaves.partition(|rule| is_internet(&blocks(rule)));
            let writes = ["auth", "legacy"].contains(&pod.name);
            assert_eq!(
                internet.len(),
                usize::from(writes),
                "{overlay}: {}",
                pod.name
            );
            for rule in internet {
                let ports = list(&rule["ports"]).iter().map(|port| &port["port"]);
                assert_eq!(ports.collect::<Vec<_>>(), [443, 465, 587]);
                let kept: Vec<_> = blocks(rule)
                    .into_iter()
                    .flat_map(|block| list(&block["except"]))
                    .map(text)
                    .collect();
                for private in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"] {
                    assert!(kept.contains(&private), "{overlay}: {kept:?}");
                }
            }
            let settings = configuration::settings(&cluster, &pod);
            let has_database = settings
                .iter()
                .any(|(_, value)| value.starts_with("postgres://"));
            assert_eq!(
                leaves.len(),
                usize::from(has_database),
                "{overlay}: {}",
                pod.name
            );
            assert!(
                leaves.iter().all(|rule| has_port(rule, POSTGRES_PORT)),
                "{leaves:?}"
            );
        }
    }
    // The Jobs run beside these policies, and carry the label that they look for.
    let jobs = Cluster::render("prod/migrations");
    let prod = Cluster::render("prod");
    for pod in jobs.pods() {
        let rules = rules(&prod, &pod.labels, Direction::Egress).expect("policies");
        let reaches = rules.iter().any(|rule| has_port(rule, POSTGRES_PORT));
        assert!(reaches, "{}", pod.name);
        assert_eq!(text(&pod.spec["restartPolicy"]), "Never");
    }
}
