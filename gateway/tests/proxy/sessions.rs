//! Sessions that are no token: whoever keeps them is asked, and what it says is kept for a while.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use crate::scripted::{Act, Scripted, ok};
use crate::stage::{PATIENCE, Stage, upstream};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ANN: &str = "cookie: theme=dark; sid=ann\r\n";

/// What the monolith says of a session, with these header lines.
fn says(lines: &str) -> Act {
    Act::Say(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{lines}\r\n"
    ))
}

fn ann() -> Act {
    says("x-auth-subject: ann\r\nx-auth-roles: user\r\n")
}

fn refuses(status: &str) -> Act {
    Act::Say(format!(
        "HTTP/1.1 {status}\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n"
    ))
}

/// `/` demands a session, `/open` does not, `/admin` demands a role.
async fn stage(legacy: &Scripted, sessions: &Scripted, more: &str) -> Stage {
    let route = |id: &str, prefix: &str, auth: &str| {
        format!(
            "[[routes]]\nid = \"{id}\"\nprefix = \"{prefix}\"\nlegacy = \"legacy\"\nauth = {auth}\n"
        )
    };
    Stage::open(&format!(
        "trusted_proxies = [\"127.0.0.0/8\"]\n{}\n\
         [auth.forward]\nurl = \"http://{}/session?full\"\ncookies = [\"sid\"]\n{more}\n\
         [[auth.issuers]]\nissuer = \"shared\"\nsecret = \"{SECRET}\"\n{}{}{}",
        upstream("legacy", legacy.address, ""),
        sessions.address,
        route("all", "/", "{ required = true }"),
        route("open", "/open", "{ required = false }"),
        route("admin", "/admin", "{ roles = [\"admin\"] }"),
    ))
    .await
}

#[tokio::test]
async fn a_session_is_asked_about_once_and_told_to_the_upstream() {
    let legacy = Scripted::saying("welcome").await;
    let sessions = Scripted::always(ann()).await;
    let stage = stage(&legacy, &sessions, "").await;
    let forged = "x-auth-subject: root\r\nx-auth-roles: admin\r\nx-other: 1\r\n";
    for more in ["", forged, "cookie: visits=2\r\n"] {
        let reply = stage.get("/", &format!("{ANN}{more}")).await;
        assert_eq!(reply.status(), 200, "{more}");
    }
    assert_eq!(
        sessions.count(),
        1,
        "what does not carry the session does not matter"
    );
    for seen in legacy.seen() {
        assert_eq!(seen.header("x-auth-subject"), Some("ann"));
        assert_eq!(seen.header("x-auth-roles"), Some("user"));
    }
    let asked = &sessions.seen()[0];
    assert_eq!(asked.line(), "GET /session?full HTTP/1.1");
    assert_eq!(asked.header("cookie"), Some("sid=ann"));
    assert_eq!(asked.header("x-auth-subject"), None);
    assert_eq!(asked.header("x-other"), None);
    let reply = stage.get("/admin", ANN).await;
    assert_eq!((reply.status(), reply.code().as_str()), (403, "forbidden"));
    let asks = "banyan_gateway_session_asks_total";
    stage.shows(&format!("{asks}{{outcome=\"session\"}}"), "1");
    stage.shows("banyan_gateway_session_hits_total", "3");
    // Another one's session is another question.
    stage.get("/", "cookie: sid=bob\r\n").await;
    assert_eq!(sessions.count(), 2);
}

#[tokio::test]
async fn who_brings_nothing_is_nobody_and_nobody_is_asked() {
    let legacy = Scripted::saying("welcome").await;
    let sessions = Scripted::always(ann()).await;
    let stage = stage(&legacy, &sessions, "").await;
    for headers in ["", "cookie: theme=dark\r\n", "x-sid: ann\r\n"] {
        assert_eq!(stage.get("/", headers).await.status(), 401, "{headers}");
        assert_eq!(stage.get("/open", headers).await.status(), 200, "{headers}");
    }
    assert_eq!(sessions.count(), 0);
}

#[tokio::test]
async fn a_session_that_does_not_count_is_none() {
    for status in [
        "401 Unauthorized",
        "403 Forbidden",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "204 No Content",
    ] {
        let legacy = Scripted::saying("welcome").await;
        let sessions = Scripted::always(refuses(status)).await;
        let stage = stage(&legacy, &sessions, "denied_ttl = \"1h\"").await;
        let reply = stage.get("/", ANN).await;
        assert_eq!(
            (reply.status(), reply.code().as_str()),
            (401, "unauthorized"),
            "{status}"
        );
        assert_eq!(stage.get("/open", ANN).await.status(), 200, "{status}");
        assert_eq!(legacy.seen()[0].header("x-auth-subject"), None);
        assert_eq!(
            sessions.count(),
            1,
            "kept, and no redirect is followed: {status}"
        );
    }
}

#[tokio::test]
async fn a_server_that_fails_lets_nobody_in() {
    let broken = [
        Act::Close,
        Act::Hang,
        Act::SayAndClose("garbage\r\n\r\n".to_owned()),
        Act::SayAndClose(
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx-auth-subject: a\r\n\r\n".into(),
        ),
        refuses("500 Internal Server Error"),
        refuses("503 Service Unavailable"),
        refuses("404 Not Found"),
        refuses("429 Too Many Requests"),
        says("x-auth-subject: ann\r\nx-auth-subject: bob\r\n"),
        Act::Say(format!(
            "HTTP/1.1 200 OK\r\nx-auth-subject: ann\r\ncontent-length: 70000\r\n\r\n{}",
            "x".repeat(70_000)
        )),
    ];
    for act in broken {
        let legacy = Scripted::saying("welcome").await;
        let sessions = Scripted::always(act.clone()).await;
        let stage = stage(&legacy, &sessions, "timeout = \"300ms\"").await;
        for path in ["/", "/open"] {
            let reply = stage.get(path, ANN).await;
            let told = (reply.status(), reply.code());
            assert_eq!(told, (503, "auth_unavailable".to_owned()), "{path} {act:?}");
            assert!(reply.header("retry-after").is_some());
        }
        assert_eq!(legacy.count(), 0, "{act:?}");
        // It is not remembered: who is back is asked.
        sessions.now(ann());
        let back = async {
            while stage.get("/", ANN).await.status() != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, back).await.expect("in time");
    }
}

#[tokio::test]
async fn a_logout_is_noticed_when_the_time_is_over() {
    let legacy = Scripted::saying("welcome").await;
    let sessions = Scripted::always(ann()).await;
    let stage = stage(&legacy, &sessions, "ttl = \"100ms\"").await;
    assert_eq!(stage.get("/", ANN).await.status(), 200);
    sessions.now(refuses("401 Unauthorized"));
    let noticed = async {
        while stage.get("/", ANN).await.status() != 401 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, noticed)
        .await
        .expect("in time");
}

#[tokio::test]
async fn what_says_that_it_must_not_be_kept_is_not() {
    for control in ["no-store", "private, no-cache", "max-age=0"] {
        let legacy = Scripted::saying("welcome").await;
        let answer = format!("x-auth-subject: ann\r\ncache-control: {control}\r\n");
        let sessions = Scripted::always(says(&answer)).await;
        let stage = stage(&legacy, &sessions, "").await;
        for count in 1..=3 {
            assert_eq!(stage.get("/", ANN).await.status(), 200);
            assert_eq!(sessions.count(), count, "{control}");
        }
    }
}

#[tokio::test]
async fn one_session_is_one_question_however_many_wait() {
    let legacy = Scripted::saying("welcome").await;
    let held = Act::SayInTwo(
        "HTTP/1.1 200 OK\r\nx-auth-subject: ann\r\n".to_owned(),
        "content-length: 0\r\n\r\n".to_owned(),
    );
    let sessions = Scripted::always(held).await;
    let stage = stage(&legacy, &sessions, "max_asks = 1\ntimeout = \"20s\"").await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = stage.connect().await;
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{ANN}\r\n");
        client.send(request.as_bytes()).await;
        clients.push(client);
    }
    sessions.saw(1).await;
    // Another one's question is one too many.
    let other = stage.get("/", "cookie: sid=bob\r\n").await;
    assert_eq!(
        (other.status(), other.code().as_str()),
        (503, "auth_unavailable")
    );
    let asks = "banyan_gateway_session_asks_total";
    stage.shows(&format!("{asks}{{outcome=\"refused\"}}"), "1");
    // Whoever asked may go away: the others get their answer.
    drop(clients.remove(0));
    sessions.release();
    for client in &mut clients {
        assert_eq!(client.reply(false).await.status(), 200);
    }
    assert_eq!(sessions.count(), 1);
}

#[tokio::test]
async fn who_makes_sessions_up_takes_nobodys_login_away() {
    let legacy = Scripted::saying("welcome").await;
    let held = Act::SayInTwo(
        "HTTP/1.1 200 OK\r\nx-auth-subject: ann\r\n".to_owned(),
        "content-length: 0\r\n\r\n".to_owned(),
    );
    let sessions = Scripted::always(held).await;
    let more = "max_asks = 8\ntimeout = \"20s\"";
    let stage = stage(&legacy, &sessions, more).await;
    let mut clients = Vec::new();
    for number in 0..8 {
        let mut client = stage.connect().await;
        let request = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 2001:db8::{number}\r\n\
             cookie: sid=made-up-{number}\r\n\r\n"
        );
        client.send(request.as_bytes()).await;
        clients.push(client);
        // The first two have their places.
        sessions.saw(clients.len().min(2)).await;
    }
    // Six of the eight wait in vain, and another address is asked about meanwhile.
    let mut ann = stage.connect().await;
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 9.9.9.9\r\n{ANN}\r\n");
    ann.send(request.as_bytes()).await;
    sessions.saw(3).await;
    let mut statuses = Vec::new();
    let (given, refused) = clients.split_at_mut(2);
    for client in refused {
        statuses.push(client.reply(false).await.status());
    }
    assert_eq!(statuses, [503; 6]);
    sessions.release();
    for client in given.iter_mut().chain([&mut ann]) {
        assert_eq!(client.reply(false).await.status(), 200);
    }
    assert_eq!(sessions.count(), 3);
}

#[tokio::test]
async fn sessions_that_are_none_push_out_no_session() {
    let legacy = Scripted::saying("welcome").await;
    let sessions = Scripted::always(ann()).await;
    let stage = stage(&legacy, &sessions, "max_sessions = 4").await;
    assert_eq!(stage.get("/", ANN).await.status(), 200);
    sessions.now(refuses("401 Unauthorized"));
    for number in 0..50 {
        let made_up = format!("cookie: sid=made-up-{number}\r\n");
        assert_eq!(stage.get("/", &made_up).await.status(), 401);
    }
    assert_eq!(stage.get("/", ANN).await.status(), 200);
    assert_eq!(sessions.count(), 51);
}

#[tokio::test]
async fn a_token_of_a_known_issuer_is_never_made_good_by_a_session() {
    let legacy = Scripted::saying("welcome").await;
    let sessions = Scripted::always(ann()).await;
    let stage = stage(&legacy, &sessions, "").await;
    let token = |issuer: &str, secret: &str| {
        let key = EncodingKey::from_secret(secret.as_bytes());
        let claims = json!({"iss": issuer, "sub": "tom", "exp": 9_999_999_999_u64});
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
        format!("authorization: Bearer {}\r\n", token.expect("a token"))
    };
    let good = stage
        .get("/", &format!("{}{ANN}", token("shared", SECRET)))
        .await;
    assert_eq!(good.status(), 200);
    assert_eq!(legacy.seen()[0].header("x-auth-subject"), Some("tom"));
    let forged = token("shared", "another secret that is long");
    // {"alg":"none"} and {"iss":"shared"}
    let none = "authorization: Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJzaGFyZWQifQ.\r\n";
    for bad in [forged.as_str(), none, &[&forged[..], &forged].concat()] {
        for path in ["/", "/open"] {
            let reply = stage.get(path, &format!("{bad}{ANN}")).await;
            assert_eq!(reply.status(), 401, "{bad}");
        }
    }
    assert_eq!((sessions.count(), legacy.count()), (0, 1));
    // What is nobody's that is known here, the monolith may know.
    for unknown in [
        token("the monolith", "its own secret that is long"),
        "authorization: Bearer opaque\r\n".to_owned(),
        "authorization: Basic dTpw\r\n".to_owned(),
    ] {
        assert_eq!(stage.get("/", &unknown).await.status(), 200, "{unknown}");
        let asked = sessions.seen();
        let sent = asked.last().expect("a question").header("authorization");
        assert_eq!(sent, unknown.trim().strip_prefix("authorization: "));
    }
    sessions.now(refuses("401 Unauthorized"));
    let opaque = "authorization: Bearer revoked\r\n";
    assert_eq!(stage.get("/", opaque).await.status(), 401);
    assert_eq!(
        stage.get("/open", opaque).await.status(),
        401,
        "it believes that it is in"
    );
}

/// A flag that reads `jwt:sub` has Ann on the candidate; `/me` demands a session.
async fn moved(legacy: &Scripted, candidate: &Scripted, sessions: &Scripted) -> Stage {
    let route = |id: &str, prefix: &str, more: &str| {
        format!(
            "[[routes]]\nid = \"{id}\"\nprefix = \"{prefix}\"\nlegacy = \"legacy\"\n\
             candidate = \"quiz\"\nflag = \"move\"\n{more}\n"
        )
    };
    Stage::open(&format!(
        "{}\n{}\n[auth.forward]\nurl = \"http://{}/\"\nttl = \"50ms\"\nsubject_field = \"user.id\"\n\
         [flags.move]\npercent = 0.0\nallow = [\"7\"]\nsubject = [\"jwt:sub\"]\n{}{}",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", candidate.address, ""),
        sessions.address,
        route("all", "/", ""),
        route("me", "/me", "auth = { required = true }"),
    ))
    .await
}

#[tokio::test]
async fn a_session_is_a_flags_subject_and_stays_so_when_nobody_can_be_asked() {
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::saying("candidate").await;
    let sessions = Scripted::always(Act::Say(ok("{\"user\": {\"id\": 7}}"))).await;
    let stage = moved(&legacy, &candidate, &sessions).await;
    assert_eq!(stage.get("/", ANN).await.body, "candidate");
    assert_eq!(stage.get("/me", ANN).await.body, "candidate");
    assert_eq!(stage.get("/", "").await.body, "legacy");
    sessions.now(Act::Close);
    let unknown = async {
        while stage.get("/me", ANN).await.status() != 503 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, unknown)
        .await
        .expect("in time");
    let before = candidate.count();
    assert_eq!(stage.get("/", ANN).await.body, "candidate");
    let seen = candidate.seen().split_off(before);
    assert_eq!(seen[0].header("x-auth-subject"), None, "not vouched for");
    assert_eq!(stage.get("/", "cookie: sid=new\r\n").await.body, "legacy");
}
