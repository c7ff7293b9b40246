//! The documents about events, as the types and the running services give them.

use std::{collections::BTreeMap, fs, path::Path};

use bus::asyncapi::{self, Described};
use contracts::{events::CATALOGUE, schema};
use reqwest::StatusCode;
use serde_json::Value;

use crate::{embedded::Up, player::expect};

/// The committed documents.
pub(super) const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events");

/// The services that speak through events, and their ports.
pub(super) const SERVICES: [(&str, u16); 7] = [
    ("auth", 9001),
    ("question", 9002),
    ("quiz", 9003),
    ("achievement", 9004),
    ("leaderboard", 9005),
    ("admin", 9006),
    ("maintenance", 9007),
];

/// The documents of the running services, by name; the gateway's with them.
pub(super) async fn documents(up: &Up) -> BTreeMap<String, Value> {
    let mut documents = BTreeMap::new();
    for (service, port) in SERVICES {
        let url = format!("http://127.0.0.1:{}/asyncapi.json", port + up.offset);
        let answer = reqwest::get(&url).await.expect("the service answers");
        let document = expect(answer, StatusCode::OK).await;
        documents.insert(service.to_owned(), document);
    }
    // The gateway's own port belongs to the upstreams' paths, and its flags read the log.
    let gateway = asyncapi::document(Described {
        name: "gateway",
        about: "The strangler proxy: flags and routes, whose changes it writes and follows.",
        consumers: &[("flags", &gateway::flag::FOLLOWED)],
    });
    documents.insert("gateway".to_owned(), gateway);
    // Its process has the operators' verbs and no interface for other programs.
    let log = asyncapi::document(Described {
        name: "log",
        about: "The log: all events in one order; it tells itself whose personal data were erased.",
        consumers: &[],
    });
    documents.insert("log".to_owned(), log);
    documents
}

/// Every committed file as it should be, by its path below [`DOCS`].
pub(super) fn files(documents: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let text = |document: &Value| format!("{document:#}\n");
    let mut files = BTreeMap::new();
    for (service, document) in documents {
        files.insert(format!("asyncapi/{service}.json"), text(document));
    }
    for contract in CATALOGUE {
        let path = format!("schemas/{}.json", contract.versioned_name());
        files.insert(path, text(&schema::payload_document(contract)));
    }
    let envelope = text(&schema::envelope_document());
    files.insert("schemas/envelope.v1.json".to_owned(), envelope);
    files.insert("README.md".to_owned(), index(documents));
    files
}

/// Who sends and who receives each event type.
fn index(documents: &BTreeMap<String, Value>) -> String {
    let mut text = "# Events\n\nMade from the types by `cargo xtask contracts`; \
        [how to work with them](../event-contracts.md).\n\n\
        | event type | what it says | sent by | received by | schema |\n\
        | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for contract in CATALOGUE {
        let said = contract.shape().schema["description"].clone();
        let said = said.as_str().unwrap_or_default().replace('\n', " ");
        let receivers: Vec<_> = documents
            .iter()
            .filter(|(_, document)| !receivers(document, contract.event_type).is_empty())
            .map(|(service, _)| service.as_str())
            .collect();
        let file = format!("schemas/{}.json", contract.versioned_name());
        text.push_str(&format!(
            "| `{}` | {said} | {} | {} | [v{}]({file}) |\n",
            contract.event_type,
            contract.senders.join(", "),
            if receivers.is_empty() {
                "nobody here".to_owned()
            } else {
                receivers.join(", ")
            },
            contract.schema_version,
        ));
    }
    text.push_str("\nEach travels in the [envelope](schemas/envelope.v1.json).\n\n");
    for service in documents.keys() {
        text.push_str(&format!("- [{service}](asyncapi/{service}.json)\n"));
    }
    text
}

/// The consumers of a service's document that receive the event type.
fn receivers(document: &Value, event_type: &str) -> Vec<String> {
    let operations = document["operations"].as_object().expect("operations");
    let end = format!(".{event_type}");
    operations
        .keys()
        .filter_map(|id| Some(id.strip_prefix("receive.")?.strip_suffix(&end)?.to_owned()))
        .filter(|consumer| !consumer.contains('.'))
        .collect()
}

pub(super) fn write(folder: &Path, files: &BTreeMap<String, String>) {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
        fs::write(path, text).expect("a writable folder");
    }
}

/// The generated files that are there, by their paths below [`DOCS`].
pub(super) fn committed() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["asyncapi", "schemas"] {
        let entries = fs::read_dir(Path::new(DOCS).join(folder)).expect("docs/events");
        for entry in entries {
            let name = entry.expect("a readable folder").file_name();
            found.push(format!("{folder}/{}", name.to_string_lossy()));
        }
    }
    found
}
