//! The monolith follows the keys that it shares with the auth service, without a restart.

use std::time::Duration;

use auth::{domain::User, keys::Keys};
use chassis::{Shutdown, identity::Verifier};
use legacy::Config;
use serde_json::Value;
use testkit::eventually;
use time::OffsetDateTime;
use uuid::Uuid;

/// A start takes some migrations and fills the question bank.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a new key is published here before it signs.
const LEAD: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn legacy_follows_rotations_and_emergencies_of_the_shared_keys() {
    let folder = testkit::temp_dir();
    let config = Config {
        listen: ([127, 0, 0, 1], testkit::free_port()).into(),
        database: format!("sqlite:{}", folder.path().join("legacy.db").display()),
        signing_key: folder.path().join("signing.pem"),
        ..Config::default()
    };
    let keys = Keys::open(&config.signing_key).expect("a key file");
    let base = format!("http://{}", config.listen);
    let shutdown = Shutdown::new();
    tokio::spawn(legacy::run(config, shutdown.clone()));
    let client = reqwest::Client::new();
    let issued = || async {
        let guest = client.post(format!("{base}/api/auth/guest")).send().await?;
        let body: Value = guest.json().await?;
        Ok::<_, reqwest::Error>(body["accessToken"].as_str().map(str::to_owned))
    };
    let is_good = async |token: &str| {
        let request = client.get(format!("{base}/api/auth/profile"));
        let reply = request.bearer_auth(token).send().await.expect("an answer");
        reply.status().is_success()
    };
    let signed = || {
        let user = User::guest(Uuid::now_v7());
        keys.sign(&user.claims(OffsetDateTime::now_utc(), Uuid::now_v7()))
            .expect("a token")
    };
    let before = eventually(PATIENCE, issued).await;
    assert!(is_good(&signed()).await, "one key on both sides");

    // A rotation, as the auth service does it: both sides sign with the new key, and take the old.
    let old = keys.entries()[0].id.clone();
    keys.rotate(LEAD).await.expect("a rotation");
    let fresh = eventually(PATIENCE, || async {
        let token = issued().await.ok()??;
        let header = jsonwebtoken::decode_header(&token).ok()?;
        (header.kid? != old).then_some(token)
    })
    .await;
    assert!(is_good(&before).await && is_good(&fresh).await);
    assert!(is_good(&signed()).await);
    let found = keys.clone();
    let verifier = Verifier::local(move |id| found.public(id));
    verifier.verify(&fresh).await.expect("good at auth");

    // An emergency: what was signed before is refused here, too.
    keys.purge(None).await.expect("an emergency");
    assert!(
        is_good(&signed()).await,
        "an unknown key is looked for at once"
    );
    eventually(PATIENCE, || async { !is_good(&fresh).await }).await;
    assert!(!is_good(&before).await);
    shutdown.trigger();
}
