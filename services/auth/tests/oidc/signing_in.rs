//! Who signs in with a provider.

use serde_json::json;
use testkit::Backend;

use crate::{
    browser::{Browser, parameter},
    provider::Provider,
    site::{Site, settings},
};

testkit::both_databases!(
    whoever_signs_in_has_an_account_and_the_same_one_the_next_time,
    a_browser_comes_back_to_its_page_with_a_code_that_is_good_once,
    a_page_that_wants_json_gets_the_session_itself,
    two_sign_ins_of_one_new_identity_at_once_make_one_account,
    an_address_counts_only_verified_and_trusted,
    a_trusted_address_takes_an_account_over_from_whoever_had_its_password,
    an_administrator_is_never_taken_over,
);

async fn whoever_signs_in_has_an_account_and_the_same_one_the_next_time(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let list = site.get("/api/auth/oidc", None).await;
    assert_eq!(list.status, 200);
    assert_eq!(
        list.body,
        json!({ "items": [{ "id": "own", "displayName": "Our own" }] })
    );

    let browser = Browser::new(&site);
    let first = browser.sign_in(&browser.begin("").await, "ada").await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.text("/user/displayName"), "Ada Lovelace");
    assert_eq!(first.body["user"]["roles"], json!(["user"]));
    let profile = site
        .get("/api/auth/profile", Some(&first.text("/accessToken")))
        .await;
    assert_eq!(profile.body["email"], json!(null), "nobody trusts it");
    let refreshed = json!({ "refreshToken": first.text("/refreshToken") });
    assert_eq!(site.post("/api/auth/refresh", refreshed).await.status, 200);

    let elsewhere = Browser::new(&site);
    let second = elsewhere.sign_in(&elsewhere.begin("").await, "ada").await;
    assert_eq!(second.text("/user/id"), first.text("/user/id"));
    let user = first.text("/user/id");
    let events = site.events(&user, 4).await;
    let types: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    let in_between = "user.authenticated";
    assert_eq!(types, ["user.created", in_between, in_between, in_between]);
    assert_eq!(events[1].1["method"], "oidc");
    assert!(!format!("{events:?}").contains("example.org"));
}

async fn a_browser_comes_back_to_its_page_with_a_code_that_is_good_once(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let browser = Browser::new(&site);
    let way = browser.begin("?returnTo=/play?mode=timed%23top").await;
    let reply = browser.sign_in(&way, "ada").await;
    assert_eq!(reply.status, 303, "{reply:?}");
    assert!(reply.location.starts_with("/play?mode=timed&code="));
    assert!(reply.location.ends_with("#top"), "{}", reply.location);
    let code = parameter(&reply.location, "code");

    let session = browser.redeem(&code).await;
    assert_eq!(session.status, 200, "{session:?}");
    assert_eq!(session.text("/user/displayName"), "Ada Lovelace");
    assert_eq!(browser.redeem(&code).await.problem(), (401, "invalid_code"));

    let way = browser.begin("?returnTo=/").await;
    let reply = browser.sign_in(&way, "ada").await;
    let code = parameter(&reply.location, "code");
    let thief = Browser::new(&site);
    assert_eq!(thief.redeem(&code).await.problem(), (401, "invalid_code"));
}

async fn a_page_that_wants_json_gets_the_session_itself(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let browser = Browser::new(&site);
    let way = browser.begin("?returnTo=/play").await;
    let back = browser.approve(&way, "ada").await;
    let reply = browser.fetch(&back).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(!reply.text("/accessToken").is_empty());
}

async fn two_sign_ins_of_one_new_identity_at_once_make_one_account(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let (one, other) = (Browser::new(&site), Browser::new(&site));
    let ways = (one.begin("").await, other.begin("").await);
    let backs = (
        one.approve(&ways.0, "carol").await,
        other.approve(&ways.1, "carol").await,
    );
    let (first, second) = tokio::join!(one.follow(&backs.0), other.follow(&backs.1));
    assert_eq!((first.status, second.status), (200, 200), "{second:?}");
    assert_eq!(first.text("/user/id"), second.text("/user/id"));
    assert!(
        first.text("/user/displayName").starts_with("Player "),
        "the provider has no name for her"
    );
}

async fn an_address_counts_only_verified_and_trusted(backend: Backend) {
    let provider = Provider::up().await;
    let mut trusting = settings(&provider.issuer());
    trusting.trust_email = true;
    let site = Site::start(backend, trusting).await;
    let ada = site.register("ada@example.org").await;
    let browser = Browser::new(&site);
    // Eve's provider has not verified that Ada's address is hers.
    let eve = browser.sign_in(&browser.begin("").await, "eve").await;
    assert_ne!(eve.text("/user/id"), ada.text("/user/id"));
    assert_eq!(eve.text("/user/displayName"), "Eve");
    let login = json!({ "email": "ada@example.org", "password": "correct horse" });
    assert_eq!(site.post("/api/auth/login", login).await.status, 200);
}

async fn a_trusted_address_takes_an_account_over_from_whoever_had_its_password(backend: Backend) {
    let provider = Provider::up().await;
    let mut trusting = settings(&provider.issuer());
    trusting.trust_email = true;
    let site = Site::start(backend, trusting).await;
    // Nobody ever proved that whoever registers here has the address.
    let squatter = site.register("Ada@Example.org").await;
    let browser = Browser::new(&site);
    let ada = browser.sign_in(&browser.begin("").await, "ada").await;
    assert_eq!(ada.text("/user/id"), squatter.text("/user/id"));
    let login = json!({ "email": "ada@example.org", "password": "correct horse" });
    let refused = site.post("/api/auth/login", login).await;
    assert_eq!(refused.problem(), (401, "invalid_credentials"));
    let old = json!({ "refreshToken": squatter.text("/refreshToken") });
    let refused = site.post("/api/auth/refresh", old).await;
    assert_eq!(refused.problem(), (401, "invalid_refresh_token"));
}

async fn an_administrator_is_never_taken_over(backend: Backend) {
    let provider = Provider::up().await;
    let mut trusting = settings(&provider.issuer());
    trusting.trust_email = true;
    let site = Site::start_with(backend, trusting, |config| {
        config.administrator = Some(auth::config::Administrator {
            email: "ada@example.org".to_owned(),
            password: "correct horse".to_owned(),
            display_name: "Root".to_owned(),
        });
    })
    .await;
    let browser = Browser::new(&site);
    let ada = browser.sign_in(&browser.begin("").await, "ada").await;
    assert_eq!(ada.body["user"]["roles"], json!(["user"]), "{ada:?}");
    let login = json!({ "email": "ada@example.org", "password": "correct horse" });
    assert_eq!(site.post("/api/auth/login", login).await.status, 200);
}
