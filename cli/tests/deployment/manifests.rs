//! What holds for every object that is deployed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
};

use chassis::shutdown::DRAIN;
use serde_json::{Value, json};

use crate::{
    cluster::{
        Cluster, MIGRATIONS, OVERLAYS, Pod, labels, list, output, rendered, selects, text, tool,
    },
    configuration, repository,
};

/// The version whose schemas the manifests are held against.
const KUBERNETES: &str = "1.37";

#[test]
fn every_overlay_fits_the_schemas_of_kubernetes_strictly() {
    for overlay in OVERLAYS.iter().chain(&MIGRATIONS) {
        let mut file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
        file.write_all(&rendered(overlay)).expect("it is written");
        let mut validate = tool("kubernetes-validate");
        validate.args(["--strict", "--kubernetes-version", KUBERNETES]);
        let said = output({
            validate.arg(file.path());
            validate
        });
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        // An unknown kind is only warned of.
        assert!(!said.contains("WARN"), "{overlay}: {said}");
        let passed = said.matches(" passed for resource ").count();
        let objects = Cluster::render(overlay).objects.len();
        assert_eq!(passed, objects, "{overlay}: {said}");
    }
}

#[test]
fn every_pod_may_do_as_little_as_possible() {
    for cluster in OVERLAYS.into_iter().chain(MIGRATIONS).map(Cluster::render) {
        for pod in cluster.pods() {
            let what = format!("{}: {} {}", cluster.overlay, pod.kind, pod.name);
            let security = &pod.spec["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{what}");
            assert!(
                security["runAsUser"].as_u64().is_some_and(|id| id > 0),
                "{what}"
            );
            assert_eq!(
                security["seccompProfile"]["type"], "RuntimeDefault",
                "{what}"
            );
            assert_eq!(pod.spec["automountServiceAccountToken"], false, "{what}");
            assert_eq!(pod.spec["enableServiceLinks"], false, "{what}");
            let account = cluster.find("ServiceAccount", text(&pod.spec["serviceAccountName"]));
            let account = account.unwrap_or_else(|| panic!("{what}: no ServiceAccount"));
            assert_eq!(account["automountServiceAccountToken"], false, "{what}");
            for container in pod.containers() {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{what}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{what}");
                assert_eq!(
                    security["capabilities"],
                    json!({ "drop": ["ALL"] }),
                    "{what}"
                );
                for kind in ["requests", "limits"] {
                    for resource in ["cpu", "memory"] {
                        let amount = &container["resources"][kind][resource];
                        assert!(!amount.is_null(), "{what}: no {kind} of {resource}");
                    }
                }
                let (_, tag) = text(&container["image"])
                    .rsplit_once(':')
                    .unwrap_or_default();
                assert!(
                    !["", "latest"].contains(&tag),
                    "{what}: image without a version"
                );
            }
        }
    }
}

#[test]
fn every_pod_that_serves_is_probed_spread_and_drained_one_by_one() {
    for cluster in Cluster::all() {
        for pod in cluster.pods() {
            let what = format!("{}: {} {}", cluster.overlay, pod.kind, pod.name);
            for container in pod.containers() {
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    let port = &container[probe]["httpGet"]["port"];
                    let ports = list(&container["ports"]);
                    let is_there = ports.iter().any(|known| known["name"] == *port);
                    assert!(
                        is_there || container[probe]["exec"].is_object(),
                        "{what}: {probe}"
                    );
                }
            }
            let spread = list(&pod.spec["topologySpreadConstraints"]);
            assert!(!spread.is_empty(), "{what}: not spread");
            for constraint in spread {
                let selector = &constraint["labelSelector"];
                assert!(is_for(selector, &pod), "{what}: {constraint}");
            }
            let budgets = cluster.of("PodDisruptionBudget");
            let own = budgets.filter(|budget| is_for(&budget["spec"]["selector"], &pod));
            assert_eq!(own.count(), 1, "{what}: budgets");
            let controller = cluster.find(pod.kind, pod.name).expect("it is listed");
            assert!(
                is_for(&controller["spec"]["selector"], &pod),
                "{what}: selector"
            );
        }
    }
}

/// Whether a selector takes this pod, and says so by something.
fn is_for(selector: &Value, pod: &Pod<'_>) -> bool {
    !labels(&selector["matchLabels"]).is_empty() && selects(selector, &pod.labels)
}

#[test]
fn no_two_controllers_services_or_budgets_take_each_others_pods() {
    for cluster in Cluster::all() {
        let pods = cluster.pods();
        for kind in ["Deployment", "StatefulSet", "PodDisruptionBudget"] {
            for object in cluster.of(kind) {
                let selector = &object["spec"]["selector"];
                let taken: Vec<_> = pods
                    .iter()
                    .filter(|pod| is_for(selector, pod))
                    .map(|pod| pod.name)
                    .collect();
                let name = text(&object["metadata"]["name"]);
                assert_eq!(taken, [name], "{}: {kind} {name}", cluster.overlay);
            }
        }
        for service in cluster.of("Service") {
            let selector = json!({ "matchLabels": service["spec"]["selector"] });
            let taken = pods.iter().filter(|pod| is_for(&selector, pod));
            assert_eq!(taken.count(), 1, "{}: {service}", cluster.overlay);
        }
    }
}

#[test]
fn a_pod_is_given_the_time_that_its_drain_takes() {
    for cluster in Cluster::all() {
        for pod in cluster.pods().iter().filter(|pod| pod.part().is_some()) {
            let hook = &pod.containers()[0]["lifecycle"]["preStop"]["sleep"]["seconds"];
            let hook = hook
                .as_u64()
                .unwrap_or_else(|| panic!("{}: no preStop", pod.name));
            let grace = pod.spec["terminationGracePeriodSeconds"]
                .as_u64()
                .expect("a time");
            // Endpoints are forgotten within seconds; the rest is for a slow node.
            assert!(hook >= 5, "{}", pod.name);
            assert!(
                grace >= hook + DRAIN.as_secs() + 10,
                "{}: {grace}",
                pod.name
            );
        }
    }
}

#[test]
fn services_reach_ports_autoscalers_their_deployments_and_volumes_what_is_there() {
    for cluster in Cluster::all() {
        let pods = cluster.pods();
        for service in cluster.of("Service") {
            let selector = json!({ "matchLabels": service["spec"]["selector"] });
            let pod = pods
                .iter()
                .find(|pod| selects(&selector, &pod.labels))
                .expect("a pod");
            let known: Vec<_> = pod
                .containers()
                .iter()
                .flat_map(|container| list(&container["ports"]))
                .collect();
            for port in list(&service["spec"]["ports"]) {
                let target = known
                    .iter()
                    .find(|known| known["name"] == port["targetPort"]);
                let target = target.unwrap_or_else(|| panic!("{service}"));
                assert_eq!(target["containerPort"], port["port"], "{service}");
            }
        }
        for scaler in cluster.of("HorizontalPodAutoscaler") {
            let target = cluster.find(
                "Deployment",
                text(&scaler["spec"]["scaleTargetRef"]["name"]),
            );
            let target = target.unwrap_or_else(|| panic!("{scaler}"));
            assert!(
                target["spec"]["replicas"].is_null(),
                "both decide: {scaler}"
            );
        }
        for pod in pods {
            for volume in list(&pod.spec["volumes"]) {
                if volume["configMap"]["optional"] == true {
                    continue;
                }
                for (kind, name) in [
                    ("ConfigMap", &volume["configMap"]["name"]),
                    (
                        "PersistentVolumeClaim",
                        &volume["persistentVolumeClaim"]["claimName"],
                    ),
                ] {
                    let is_there = name.is_null() || cluster.find(kind, text(name)).is_some();
                    assert!(is_there, "{}: {volume}", pod.name);
                }
            }
        }
    }
}

#[test]
fn ports_are_those_of_the_interface() {
    let expected = BTreeMap::from([
        ("gateway", vec![8080]),
        ("gateway-admin", vec![8081]),
        ("legacy", vec![9000]),
        ("auth", vec![9001]),
        ("question", vec![9002]),
        ("quiz", vec![9003]),
        ("achievement", vec![9004]),
        ("leaderboard", vec![9005]),
        ("admin", vec![9006]),
        ("maintenance", vec![9007]),
        ("log", vec![9010]),
    ]);
    let cluster = Cluster::render("prod");
    for (name, ports) in expected {
        let service = cluster.find("Service", name).expect("a Service");
        let found = list(&service["spec"]["ports"]).iter();
        let found: Vec<_> = found.filter_map(|port| port["port"].as_u64()).collect();
        assert_eq!(found, ports, "{name}");
    }
    // Nothing but the clients' port is offered to the world.
    let open = cluster
        .of("Service")
        .filter(|service| service["spec"]["type"] == "LoadBalancer");
    let open: Vec<_> = open
        .map(|service| text(&service["metadata"]["name"]))
        .collect();
    assert_eq!(open, ["gateway"]);
}

#[test]
fn no_secret_is_in_the_repository_and_every_one_that_is_needed_is_documented() {
    let page = std::fs::read_to_string(repository("docs/deploying-on-kubernetes.md"));
    let page = page.expect("the page");
    let cell = |cell: &str| -> Vec<String> {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(ToOwned::to_owned).collect()
    };
    let (_, section) = page.split_once("\n## Secrets\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut documented = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').collect();
        for secret in cell(cells[1]) {
            documented.extend(cell(cells[2]).into_iter().map(|key| (secret.clone(), key)));
        }
    }
    let mut needed = BTreeSet::new();
    for cluster in OVERLAYS.into_iter().chain(MIGRATIONS).map(Cluster::render) {
        assert_eq!(cluster.of("Secret").count(), 0, "{}", cluster.overlay);
        for pod in cluster.pods() {
            for entry in pod
                .containers()
                .iter()
                .flat_map(|container| list(&container["env"]))
            {
                let key = &entry["valueFrom"]["secretKeyRef"];
                if key.is_object() {
                    needed.insert((text(&key["name"]).to_owned(), text(&key["key"]).to_owned()));
                }
            }
        }
    }
    assert_eq!(documented, needed);
}

/// `deploy/deploy.sh` sees what has the label, and nothing else: it waits for it and takes it back.
#[test]
fn a_deployment_sees_every_part_and_runs_the_images_of_one_release() {
    for cluster in Cluster::all() {
        for deployment in cluster.of("Deployment") {
            let what = format!("{}: {}", cluster.overlay, deployment["metadata"]["name"]);
            let part_of = &deployment["metadata"]["labels"]["app.kubernetes.io/part-of"];
            assert_eq!(part_of, "banyan", "{what}");
        }
        let jobs = Cluster::render(&format!("{}/migrations", cluster.overlay));
        let pods = cluster.pods().into_iter().chain(jobs.pods());
        for pod in pods.filter(|pod| pod.part().is_some()) {
            let image = text(&pod.containers()[0]["image"]);
            // As `release.yml` tags them: by the name of the tag in the repository.
            let version = image.rsplit_once(":v").map(|(_, version)| version);
            let numbers = version.unwrap_or_default().split('.').count();
            assert_eq!(numbers, 3, "{}: {image}", cluster.overlay);
        }
    }
    // The quiz's tables are there before the version of the canary is.
    let image = |overlay: &str, name: &str| {
        let cluster = Cluster::render(overlay);
        let pods = cluster.pods();
        let pod = pods.iter().find(|pod| pod.name == name).expect("a pod");
        text(&pod.containers()[0]["image"]).to_owned()
    };
    let canary = image("prod-canary", "quiz-canary");
    assert_eq!(image("prod-canary/migrations", "migrate-quiz"), canary);
    assert_ne!(image("prod-canary", "quiz"), canary);
}

#[test]
fn nats_accepts_its_file_and_is_given_the_time_to_send_its_clients_away() {
    let cluster = Cluster::render("prod");
    let pods = cluster.pods();
    let pod = pods.iter().find(|pod| pod.name == "nats").expect("a pod");
    let files = configuration::files(&cluster, pod);
    let conf = &files["/etc/nats/nats.conf"];
    let folder = testkit::temp_dir();
    let file = folder.path().join("nats.conf");
    std::fs::write(&file, conf).expect("it is written");
    let mut server = std::process::Command::new("nats-server");
    server.arg("-t").arg("-c").arg(&file);
    output({
        server.envs(configuration::settings(&cluster, pod));
        server
    });
    let duck = conf
        .lines()
        .find_map(|line| line.strip_prefix("lame_duck_duration: "));
    let duck: u64 = duck
        .and_then(|time| time.strip_suffix('s'))
        .expect("seconds")
        .parse()
        .expect("a number");
    let grace = pod.spec["terminationGracePeriodSeconds"]
        .as_u64()
        .expect("a time");
    assert!(grace >= duck + 20, "{duck} of {grace}");
    // As many servers as routes, and as copies of the stream.
    let servers =
        cluster.find("StatefulSet", "nats").expect("it is there")["spec"]["replicas"].clone();
    assert_eq!(conf.matches("nats://nats-").count(), 3);
    assert_eq!(servers, 3);
    let log = pods.iter().find(|pod| pod.name == "log").expect("a pod");
    let copies = configuration::settings(&cluster, log);
    assert!(copies.contains(&("BANYAN_LOG__NATS_REPLICAS".to_owned(), "3".to_owned())));
}
