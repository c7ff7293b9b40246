//! Consumers see the newest shape of a payload, whatever version lies in the log.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chassis::Shutdown;
use contracts::{
    Payload, Recorded,
    events::{Upcast, UpcastError},
};
use database::Tx;
use event_store::{Append, Consumers, Handler, HandlerError, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use testkit::Backend;

use super::handler::options;
use crate::fixture::{log_apart, service, soon, typed};

testkit::both_databases!(a_consumer_reads_every_stored_version_and_parks_what_is_newer_than_itself,);

/// Was `{"name": …}`, then `{"names": […]}`, and is `{"names": […], "count": …}`.
#[derive(Serialize, Deserialize)]
struct Named {
    names: Vec<String>,
    count: usize,
}

impl Payload for Named {
    const TYPE: &'static str = "test.named";
    const UPCASTS: &'static [Upcast] = &[several, counted];
    const PERSONAL: &'static [&'static str] = &[];
}

fn several(mut payload: Value) -> Result<Value, UpcastError> {
    Ok(json!({ "names": [payload["name"].take()] }))
}

fn counted(mut payload: Value) -> Result<Value, UpcastError> {
    let names = payload["names"].as_array().map(Vec::len);
    let names = names.ok_or_else(|| UpcastError::new("no names"))?;
    payload["count"] = json!(names);
    Ok(payload)
}

struct Reader(Arc<Mutex<Vec<(String, usize)>>>);

#[async_trait]
impl Handler for Reader {
    fn name(&self) -> &'static str {
        "names"
    }
    fn kind(&self) -> Kind {
        Kind::Projection
    }
    fn types(&self) -> &'static [&'static str] {
        &[Named::TYPE]
    }
    async fn handle(&self, _tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        let Named { names, count } = event.event.payload()?;
        self.0.lock().unwrap().push((names.join("+"), count));
        Ok(())
    }
}

async fn a_consumer_reads_every_stored_version_and_parks_what_is_newer_than_itself(
    backend: Backend,
) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    let seen = Arc::default();
    let consumers = Consumers::new(database, log.clone())
        .with_options(options())
        .add(Reader(Arc::clone(&seen)));
    let stop = Shutdown::new();
    let (running, end) = (consumers.clone(), stop.clone());
    let task = tokio::spawn(async move { running.run(None, end).await });
    for (number, (version, payload)) in [
        (1, json!({ "name": "ann" })),
        (2, json!({ "names": ["bob", "cy"] })),
        (4, json!({ "people": [] })),
        (3, json!({ "names": [], "count": 0 })),
        (2, json!({ "name": "not of this version" })),
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = typed(&format!("s-{number}"), 1, Named::TYPE);
        (event.schema_version, event.payload) = (version, payload);
        let appended = log.append(vec![Append::exact(event)]).await.unwrap();
        soon(consumers.caught_up_to(appended[0].position)).await;
    }
    let expected =
        [("ann", 1), ("bob+cy", 2), ("", 0)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(*seen.lock().unwrap(), expected);
    let parked = consumers.parked(None, 10).await.unwrap();
    let errors: Vec<_> = parked
        .iter()
        .map(|p| (p.position, p.error.as_str()))
        .collect();
    assert!(
        matches!(errors[..], [(3, newer), (5, wrong)]
            if newer.contains("is the sender newer") && wrong.contains("version 2: no names")),
        "{errors:?}"
    );
    stop.trigger();
    soon(task).await.unwrap();
}
