//! Upstreams behind TLS: who is believed, and what is spoken.

mod server;

use std::net::SocketAddr;

use server::{Authority, Shows};
use tokio::net::TcpListener;

use crate::scripted::Scripted;
use crate::stage::{PATIENCE, Stage, upstream};

/// The settings of an upstream that is reached as `host`.
fn secure(name: &str, host: &str, address: SocketAddr, more: &str) -> String {
    let port = address.port();
    format!("[upstreams.{name}]\nendpoints = [\"https://{host}:{port}\"]\n{more}\n")
}

async fn stage(host: &str, address: SocketAddr, more: &str) -> Stage {
    Stage::single(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        secure("legacy", host, address, more)
    ))
    .await
}

fn trusting(authority: &Authority, protocol: &str) -> String {
    let ca = authority.ca();
    format!("ca = \"{}\"\nprotocol = \"{protocol}\"", ca.display())
}

#[tokio::test]
async fn both_sides_agree_on_what_is_spoken() {
    let authority = Authority::new();
    for (protocol, offered, spoken) in [
        ("https", &["h2", "http/1.1"][..], "h2 https"),
        ("https", &["http/1.1"], "http1"),
        ("https", &[], "http1"),
        ("auto", &["h2", "http/1.1"], "h2 https"),
        ("auto", &["http/1.1"], "http1"),
        ("http1", &["h2", "http/1.1"], "http1"),
        ("http1", &[], "http1"),
    ] {
        let shows = Shows {
            protocols: offered,
            ..Shows::default()
        };
        for host in ["localhost", "127.0.0.1"] {
            let legacy = authority.serve(&shows).await;
            let stage = stage(host, legacy.address, &trusting(&authority, protocol)).await;
            for _ in 0..2 {
                let reply = stage.get("/", "").await;
                assert_eq!((reply.status(), reply.body.as_str()), (200, spoken));
            }
            let counts = (legacy.connections(), legacy.requests());
            assert_eq!(counts, (1, 2), "{protocol} {offered:?} {host}");
        }
    }
}

#[tokio::test]
async fn auto_speaks_http_1_in_clear_text() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "protocol = \"auto\"")
    ))
    .await;
    assert_eq!(stage.get("/", "").await.body, "hello");
}

/// Who does not prove who it is gets nothing, so that the other side may have even a POST.
#[tokio::test]
async fn a_certificate_that_proves_nothing_gets_no_request() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let expired = Shows {
        is_expired: true,
        ..Shows::default()
    };
    let another = Shows {
        names: &["other.example"],
        ..Shows::default()
    };
    let right = Shows::default();
    for (authority, shows) in [(&unknown, &right), (&known, &expired), (&known, &another)] {
        let candidate = authority.serve(shows).await;
        let legacy = Scripted::saying("legacy's").await;
        let stage = Stage::single(&format!(
            "{}\n{}\n[flags.move]\npercent = 100.0\nsubject = [\"header:x-user-id\"]\n\
             [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
             candidate = \"quiz\"\nflag = \"move\"\n",
            upstream("legacy", legacy.address, ""),
            secure(
                "quiz",
                "localhost",
                candidate.address,
                &trusting(&known, "auto")
            ),
        ))
        .await;
        let reply = stage.post("/", "x-user-id: a\r\n", "order").await;
        assert_eq!((reply.status(), reply.body.as_str()), (200, "legacy's"));
        assert_eq!(legacy.count(), 1);
        assert!(candidate.connections() > 0);
        assert_eq!(candidate.requests(), 0);
    }
}

#[tokio::test]
async fn without_an_authority_of_its_own_the_systems_are_asked() {
    let authority = Authority::new();
    let legacy = authority.serve(&Shows::default()).await;
    let stage = stage("localhost", legacy.address, "protocol = \"https\"").await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert_eq!(legacy.requests(), 0);
}

#[tokio::test]
async fn the_gateway_shows_its_certificate_where_it_is_asked_for() {
    let authority = Authority::new();
    let shows = Shows {
        asks: true,
        ..Shows::default()
    };
    let legacy = authority.serve(&shows).await;
    let (certificate, key) = authority.client();
    let without = trusting(&authority, "https");
    let with = format!(
        "{without}\nclient_cert = \"{}\"\nclient_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    for (settings, status) in [(&without, 502), (&with, 200)] {
        let stage = stage("localhost", legacy.address, settings).await;
        assert_eq!(stage.get("/", "").await.status(), status);
    }
}

/// Both are rotated by who runs the platform, under the same names, and the gateway runs on.
#[tokio::test]
async fn new_authorities_and_a_new_certificate_of_its_own_are_taken_over_while_it_runs() {
    let (before, after) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let install = |authority: &Authority| {
        let (certificate, key) = authority.client();
        for (from, to) in [(authority.ca(), "ca"), (certificate, "cert"), (key, "key")] {
            std::fs::copy(from, file(to)).expect("a copy");
        }
    };
    install(&before);
    let shows = Shows {
        asks: true,
        ..Shows::default()
    };
    let legacy = after.serve(&shows).await;
    let settings = format!(
        "ca = \"{}\"\nclient_cert = \"{}\"\nclient_key = \"{}\"\nprotocol = \"https\"",
        file("ca").display(),
        file("cert").display(),
        file("key").display()
    );
    let stage = stage("localhost", legacy.address, &settings).await;
    assert_eq!(stage.get("/", "").await.status(), 502);
    install(&after);
    testkit::eventually(PATIENCE, || async {
        stage.get("/", "").await.status() == 200
    })
    .await;
    assert!(legacy.requests() > 0);
}

#[tokio::test]
async fn a_peer_that_does_not_finish_the_handshake_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let settings = "protocol = \"https\"\nconnect_timeout = \"100ms\"";
    let stage = stage("localhost", address, settings).await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (504, "upstream_timeout")
    );
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let stage = stage("localhost", address, "protocol = \"https\"").await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let said = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, said).await;
        }
    });
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (502, "upstream_unreachable")
    );
}

#[tokio::test]
async fn a_torn_connection_is_not_the_end_of_a_body() {
    let authority = Authority::new();
    let legacy = authority.serve(&Shows::default()).await;
    let stage = stage("localhost", legacy.address, &trusting(&authority, "http1")).await;
    let mut client = stage.connect().await;
    client.send(b"GET /torn HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let got = String::from_utf8(client.rest().await).expect("a text");
    assert!(got.contains("half") && !got.ends_with("0\r\n\r\n"), "{got}");
}

#[tokio::test]
async fn the_health_check_trusts_as_requests_do() {
    let (known, unknown) = (Authority::new(), Authority::new());
    // A check waits as long as its interval, and a handshake takes a while on a busy machine.
    let health = |interval| format!("health = {{ path = \"/\", interval = \"{interval}\" }}");
    let good = known.serve(&Shows::default()).await;
    let bad = unknown.serve(&Shows::default()).await;
    let settings = |interval| format!("{}\n{}", trusting(&known, "https"), health(interval));
    let with_good = stage("localhost", good.address, &settings("2s")).await;
    let with_bad = stage("localhost", bad.address, &settings("20ms")).await;
    let is_healthy = |stage: &Stage| stage.data.upstreams().snapshot()[0].endpoints[0].healthy;
    let judged = async {
        while good.requests() < 2 || is_healthy(&with_bad) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, judged)
        .await
        .expect("in time");
    assert!(is_healthy(&with_good));
    assert_eq!(bad.requests(), 0);
}
