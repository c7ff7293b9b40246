//! How Prometheus finds the parts on Kubernetes. Debian's promtool cannot discover pods, so it is given
//! what such a discovery would find, and says what becomes of it.

use serde_json::{Value, json};

use super::{promtool, text};

const CONFIGURATION: &str = "observability/prometheus/kubernetes.yml";
const DISCOVERY: &str =
    "    kubernetes_sd_configs:\n      - role: pod\n        namespaces: { names: [banyan] }\n";

/// The configuration with found ports of pods in place of the discovery.
fn found(ports: &Value) -> String {
    let configuration = text(CONFIGURATION);
    assert!(configuration.contains(DISCOVERY), "{configuration}");
    let found = format!("    static_configs: {ports}\n");
    let rules = format!(
        "{}/observability/prometheus/rules",
        super::root().canonicalize().expect("a path").display()
    );
    configuration
        .replace(DISCOVERY, &found)
        .replace("  - rules/", &format!("  - {rules}/"))
}

/// A port of a pod, as Prometheus describes it.
fn port(pod: &str, part: &str, address: &str, scrape: Option<&str>) -> Value {
    let ip = address.split(':').next();
    let mut labels = json!({
        "__meta_kubernetes_pod_name": pod,
        "__meta_kubernetes_pod_ip": ip,
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": part,
    });
    if let Some(port) = scrape {
        labels["__meta_kubernetes_pod_annotation_prometheus_io_scrape"] = json!("true");
        labels["__meta_kubernetes_pod_annotation_prometheus_io_path"] = json!("/metrics");
        labels["__meta_kubernetes_pod_annotation_prometheus_io_port"] = json!(port);
    }
    json!({ "targets": [address], "labels": labels })
}

#[tokio::test]
async fn on_kubernetes_each_pod_is_one_target_of_the_job_and_has_its_part() {
    let ports = json!([
        port("gateway-7", "gateway", "10.1.2.3:8080", Some("8081")),
        port("gateway-7", "gateway", "10.1.2.3:8081", Some("8081")),
        port("quiz-1", "quiz", "10.1.2.4:9003", Some("9003")),
        port("nats-0", "nats", "10.1.2.5:4222", None),
    ]);
    let folder = testkit::temp_dir();
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, found(&ports)).expect("a writable folder");
    let file = file.to_str().expect("UTF-8");
    let checked = promtool(&["check", "config", file], "").await;
    let checked = checked.unwrap_or_else(|error| panic!("{error}"));
    assert!(checked.contains("rule files found"), "{checked}");
    let discovery = ["check", "service-discovery", "--timeout=2s", file, "banyan"];
    let said = promtool(&discovery, "").await;
    let said = said.unwrap_or_else(|error| panic!("{error}"));
    let targets: Vec<Value> = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    let mut labels: Vec<String> = targets
        .iter()
        .map(|target| &target["labels"])
        .filter(|labels| labels["job"].is_string())
        .map(|labels| {
            let of = |name: &str| labels[name].as_str().unwrap_or_default().to_owned();
            format!(
                "{} {} {} {}",
                of("job"),
                of("part"),
                of("instance"),
                of("__address__")
            )
        })
        .collect();
    labels.sort();
    // Prometheus scrapes targets with the same labels once.
    labels.dedup();
    assert_eq!(
        labels,
        [
            "banyan gateway gateway-7 10.1.2.3:8081",
            "banyan quiz quiz-1 10.1.2.4:9003"
        ]
    );
}
