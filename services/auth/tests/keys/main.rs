//! Signing keys over HTTP: rotations and emergencies, as operators, verifiers and the other
//! replicas see them.

use std::{path::PathBuf, time::Duration};

use auth::Config;
use chassis::{Shutdown, identity::Verifier};
use event_store::{Log, LogOptions};
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, TempDir, eventually};

/// A start takes some migrations.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a new key is published in these tests before it signs.
const LEAD: Duration = Duration::from_millis(1500);

/// Replicas of the service on one database and one key file.
struct World {
    backend: Backend,
    folder: TempDir,
    log: Log,
    shutdown: Shutdown,
    client: reqwest::Client,
}

struct Replica<'a> {
    world: &'a World,
    base: String,
}

impl World {
    async fn new() -> Self {
        let folder = testkit::temp_dir();
        let log = format!("sqlite:{}", folder.path().join("log.db").display());
        Self {
            backend: Backend::sqlite(),
            log: Log::open(
                &log,
                LogOptions {
                    personal: Some(
                        event_store::MasterKeys::parse(testkit::PERSONAL_KEYS).expect("keys"),
                    ),
                    ..LogOptions::default()
                },
            )
            .await
            .expect("a log"),
            folder,
            shutdown: Shutdown::new(),
            client: reqwest::Client::new(),
        }
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("signing.pem")
    }

    async fn replica(&self) -> Replica<'_> {
        self.replica_with_lead(LEAD).await
    }

    async fn replica_with_lead(&self, lead: Duration) -> Replica<'_> {
        let config = Config {
            listen: ([127, 0, 0, 1], testkit::free_port()).into(),
            database: self.backend.url.clone(),
            signing_key: self.key_file(),
            key_lead_ms: u64::try_from(lead.as_millis()).expect("a short time"),
            ..Config::default()
        };
        let base = format!("http://{}", config.listen);
        let shared = Shared {
            log: self.log.clone(),
            bus: None,
        };
        tokio::spawn(auth::run(config, shared, self.shutdown.clone()));
        eventually(PATIENCE, || async {
            let ready = self
                .client
                .get(format!("{base}/health/ready"))
                .send()
                .await?;
            Ok::<_, reqwest::Error>(ready.status().is_success())
        })
        .await;
        Replica { world: self, base }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Replica<'_> {
    async fn token(&self) -> String {
        let url = format!("{}/api/auth/guest", self.base);
        let reply = self.world.client.post(url).send().await.expect("an answer");
        let body: Value = reply.json().await.expect("a body");
        body["accessToken"].as_str().expect("a token").to_owned()
    }

    async fn is_good(&self, token: &str) -> bool {
        let request = self
            .world
            .client
            .get(format!("{}/api/auth/profile", self.base));
        let reply = request.bearer_auth(token).send().await.expect("an answer");
        reply.status().is_success()
    }

    async fn rotate(&self, query: &str) -> (u16, Value) {
        let url = format!("{}/ops/keys/rotate{query}", self.base);
        let reply = self.world.client.post(url).send().await.expect("an answer");
        let status = reply.status().as_u16();
        (status, reply.json().await.expect("a body"))
    }

    async fn keys(&self) -> Value {
        self.fetch("/ops/keys").await["items"].take()
    }

    async fn published(&self) -> Vec<String> {
        let set = self.fetch("/.well-known/jwks.json").await;
        let keys = set["keys"].as_array().expect("a list");
        assert!(keys.iter().all(|key| key["d"].is_null()), "{set}");
        keys.iter().map(|key| text(&key["kid"])).collect()
    }

    fn verifier(&self) -> Verifier {
        Verifier::jwks(format!("{}/.well-known/jwks.json", self.base))
    }

    async fn fetch(&self, path: &str) -> Value {
        let request = self.world.client.get(format!("{}{path}", self.base));
        let reply = request.send().await.expect("an answer");
        reply.json().await.expect("a body")
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn key_of(token: &str) -> String {
    let header = jsonwebtoken::decode_header(token).expect("a header");
    header.kid.expect("a key id")
}

fn states(keys: &Value) -> Vec<&str> {
    let keys = keys.as_array().expect("a list");
    keys.iter()
        .map(|key| key["state"].as_str().expect("a state"))
        .collect()
}

#[tokio::test]
async fn a_rotation_overlaps_so_that_no_token_is_ever_refused() {
    let world = World::new().await;
    let (here, there) = (world.replica().await, world.replica().await);
    let elsewhere = here.verifier();
    let before = here.token().await;
    elsewhere.verify(&before).await.expect("a good token");

    let (status, body) = here.rotate("").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(states(&body["items"]), ["current", "next"]);
    let next = text(&body["items"][1]["kid"]);
    assert!(
        here.published().await.contains(&next),
        "known before it signs"
    );
    assert_ne!(key_of(&here.token().await), next);

    // Every token of either replica is good at either and elsewhere, all the way through.
    for replica in [&here, &there] {
        eventually(PATIENCE, || async {
            let token = replica.token().await;
            assert!(here.is_good(&token).await && there.is_good(&token).await);
            elsewhere.verify(&token).await.expect("a good token");
            key_of(&token) == next
        })
        .await;
    }
    assert!(here.is_good(&before).await && there.is_good(&before).await);
    elsewhere.verify(&before).await.expect("still good");
    assert_eq!(states(&there.keys().await), ["retired", "current"]);
    assert!(there.keys().await[0]["keptUntil"].is_string());
}

#[tokio::test]
async fn an_emergency_refuses_the_old_tokens_everywhere() {
    let world = World::new().await;
    let (here, there) = (world.replica().await, world.replica().await);
    let elsewhere = there.verifier();
    let before = here.token().await;
    elsewhere.verify(&before).await.expect("a good token");

    let (status, body) = here.rotate("?emergency=true").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(states(&body["items"]), ["current"]);
    assert!(!here.is_good(&before).await);
    eventually(PATIENCE, || async { !there.is_good(&before).await }).await;
    assert!(!there.published().await.contains(&key_of(&before)));
    // The first new token that a verifier meets makes it forget the old key.
    let fresh = there.token().await;
    eventually(PATIENCE, || async {
        elsewhere.verify(&fresh).await.is_ok()
    })
    .await;
    let refused = elsewhere.verify(&before).await.expect_err("a dropped key");
    assert_eq!(refused.status().as_u16(), 401);
    let file = std::fs::read_to_string(world.key_file()).expect("the file");
    assert!(!file.contains(&key_of(&before)));
}

#[tokio::test]
async fn one_compromised_key_is_dropped_alone() {
    let world = World::new().await;
    let here = world.replica_with_lead(Duration::from_secs(600)).await;
    let before = here.token().await;
    here.rotate("").await;
    let next = text(&here.keys().await[1]["kid"]);
    let (status, body) = here.rotate(&format!("?emergency=true&kid={next}")).await;
    assert_eq!(status, 200, "{body}");
    assert!(here.is_good(&before).await);
    let (status, body) = here.rotate(&format!("?emergency=true&kid={next}")).await;
    assert_eq!((status, &body["code"]), (404, &json!("unknown_key")));
}

#[tokio::test]
async fn a_rotation_in_the_middle_of_another_is_refused() {
    let world = World::new().await;
    let here = world.replica_with_lead(Duration::from_secs(600)).await;
    let there = world.replica_with_lead(Duration::from_secs(600)).await;
    let (one, other) = tokio::join!(here.rotate(""), there.rotate(""));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {other:?}");
    let (status, body) = here.rotate("").await;
    assert_eq!((status, &body["code"]), (409, &json!("rotation_pending")));
    let (status, body) = here.rotate("?kid=x").await;
    assert_eq!((status, &body["code"]), (400, &json!("invalid_query")));
    let (status, _) = here.rotate("?colour=green").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_replica_that_was_away_during_a_rotation_comes_back_onto_it() {
    let world = World::new().await;
    let before = world.replica().await.token().await;
    let here = world.replica_with_lead(Duration::ZERO).await;
    here.rotate("").await;
    let back = world.replica().await;
    assert!(back.is_good(&before).await);
    assert_eq!(key_of(&back.token().await), key_of(&here.token().await));
}
