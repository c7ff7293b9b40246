//! A provider that lies, or does not behave, gets nobody in.

use std::time::Instant;

use testkit::Backend;

use crate::{
    browser::Browser,
    liar::{Liar, Lie},
    site::{PATIENCE, PROVIDER, Reply, Site, settings},
};

/// One whole sign-in with a provider that is in this mood from the token on.
async fn sign_in(site: &Site, liar: &Liar, lie: Lie) -> Reply {
    liar.tell(Lie::None);
    let browser = Browser::new(site);
    let query = liar.approve(&browser.begin("").await);
    liar.tell(lie);
    let callback = format!("/api/auth/oidc/{PROVIDER}/callback{query}");
    let reply = browser.get(&callback).await;
    liar.tell(Lie::None);
    reply
}

async fn site(liar: &Liar) -> Site {
    Site::start(Backend::sqlite(), settings(&liar.issuer)).await
}

#[tokio::test]
async fn only_a_token_that_is_right_in_everything_counts() {
    let liar = Liar::start().await;
    let site = site(&liar).await;
    assert_eq!(sign_in(&site, &liar, Lie::None).await.status, 200);
    for (lie, reason) in [
        (Lie::Nonce, "nonce"),
        (Lie::NoNonce, "nonce"),
        (Lie::Audience, "audience"),
        (Lie::MoreAudiences, "audience"),
        (Lie::Issuer, "issuer"),
        (Lie::Expired, "expired"),
        (Lie::Unsigned, "signature"),
        (Lie::SharedSecret, "signature"),
        (Lie::ForeignKey, "signature"),
        (Lie::StolenKeyId, "signature"),
        (Lie::NoIdToken, "missing"),
        (Lie::AccessTokenHash, "access_token"),
        (Lie::SubjectWithNul, "subject"),
        (Lie::EmptySubject, "subject"),
    ] {
        let reply = sign_in(&site, &liar, lie).await;
        assert_eq!(reply.problem(), (401, "invalid_id_token"), "{lie:?}");
        assert_eq!(reply.text("/reason"), reason, "{lie:?}");
    }
    assert_eq!(sign_in(&site, &liar, Lie::None).await.status, 200);
}

#[tokio::test]
async fn a_provider_that_does_not_behave_counts_as_down() {
    let liar = Liar::start().await;
    let site = site(&liar).await;
    for lie in [
        Lie::Garbage,
        Lie::Endless,
        Lie::ServerError,
        Lie::Redirect,
        Lie::RefusesUs,
    ] {
        let reply = sign_in(&site, &liar, lie).await;
        assert_eq!(
            reply.problem(),
            (503, "oidc_provider_unavailable"),
            "{lie:?}"
        );
        assert!(reply.retry_after.is_some());
    }
}

#[tokio::test]
async fn a_slow_provider_keeps_nobody_waiting_for_long() {
    let liar = Liar::start().await;
    let site = site(&liar).await;
    let begun = Instant::now();
    let reply = sign_in(&site, &liar, Lie::Slow).await;
    assert_eq!(reply.problem(), (503, "oidc_provider_unavailable"));
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_provider_that_calls_itself_something_else_is_not_used() {
    let liar = Liar::start().await;
    liar.call_itself("https://accounts.google.com");
    let site = site(&liar).await;
    let reply = Browser::new(&site)
        .get(&format!("/api/auth/oidc/{PROVIDER}"))
        .await;
    assert_eq!(reply.problem(), (503, "oidc_provider_unavailable"));
}

#[tokio::test]
async fn an_answer_in_the_name_of_another_provider_is_refused() {
    let liar = Liar::start().await;
    let site = site(&liar).await;
    let browser = Browser::new(&site);
    let query = liar.approve(&browser.begin("").await);
    let callback = format!("/api/auth/oidc/{PROVIDER}/callback{query}");
    let reply = browser
        .get(&format!("{callback}&iss=https://evil.example"))
        .await;
    assert_eq!(reply.problem(), (401, "invalid_id_token"));
    assert_eq!(reply.text("/reason"), "issuer");
}

#[tokio::test]
async fn a_provider_is_asked_once_for_many_and_again_when_it_has_new_keys() {
    let liar = Liar::start().await;
    let site = site(&liar).await;
    for _ in 0..3 {
        assert_eq!(sign_in(&site, &liar, Lie::None).await.status, 200);
    }
    assert_eq!(liar.discoveries(), 1);
    liar.rotate();
    testkit::eventually(PATIENCE, || async {
        sign_in(&site, &liar, Lie::None).await.status == 200
    })
    .await;
    assert!(liar.discoveries() > 1);
}
