//! Who is refused first when there is too much to do, counted on both sides.

use crate::scripted::{Act, Scripted, ok, response};
use crate::stage::{Client, PATIENCE, Stage, upstream};

/// Ann is on the candidate, everybody else on legacy.
async fn stage(legacy: &Scripted, candidate: &Scripted, settings: &str) -> Stage {
    Stage::open(&format!(
        "{}\n{}\n[flags.move]\npercent = 0.0\nallow = [\"ann\"]\nsubject = [\"header:x-user-id\"]\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\ncandidate = \"quiz\"\n\
         flag = \"move\"\nfallback = true\n",
        upstream("legacy", legacy.address, settings),
        upstream("quiz", candidate.address, ""),
    ))
    .await
}

const ANN: &str = "x-user-id: ann\r\n";
const BOB: &str = "x-user-id: bob\r\n";

/// A request that waits for its answer.
async fn waiting(stage: &Stage, headers: &str) -> Client {
    let mut client = stage.connect().await;
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    client.send(request.as_bytes()).await;
    client
}

fn refusals(reason: &str) -> String {
    format!("banyan_gateway_upstream_refusals_total{{upstream=\"legacy\",reason=\"{reason}\"}}")
}

#[tokio::test]
async fn a_dying_candidate_leaves_legacy_the_half_of_its_bulkhead() {
    let legacy = Scripted::always(Act::Hang).await;
    let candidate = Scripted::always(Act::Close).await;
    let stage = stage(&legacy, &candidate, "max_in_flight = 4").await;
    let mut clients = Vec::new();
    for number in 1..=2 {
        clients.push(waiting(&stage, ANN).await);
        legacy.saw(number).await;
    }
    for number in 1..=5 {
        let reply = stage.get("/", ANN).await;
        let told = (reply.status(), reply.code());
        assert_eq!(told, (502, "upstream_unreachable".to_owned()));
        assert_eq!(reply.header("x-banyan-fallback"), None);
        assert_eq!((candidate.count(), legacy.count()), (2 + number, 2));
    }
    stage.shows(&refusals("fallback_share"), "5");
    // Legacy's own traffic gets the other half.
    for number in 3..=4 {
        clients.push(waiting(&stage, BOB).await);
        legacy.saw(number).await;
    }
    assert_eq!(legacy.count(), 4);
}

#[tokio::test]
async fn legacys_own_traffic_may_take_all_and_fallbacks_go_first() {
    let legacy = Scripted::always(Act::Hang).await;
    let candidate = Scripted::always(Act::Close).await;
    let settings = "max_in_flight = 4\nfallback = { share_percent = 75 }";
    let stage = stage(&legacy, &candidate, settings).await;
    let mut clients = Vec::new();
    for number in 1..=3 {
        clients.push(waiting(&stage, BOB).await);
        legacy.saw(number).await;
    }
    assert_eq!(stage.get("/", ANN).await.status(), 502);
    clients.push(waiting(&stage, BOB).await);
    legacy.saw(4).await;
    assert_eq!((candidate.count(), legacy.count()), (1, 4));
    // Room again: the next one falls back.
    legacy.now(Act::Say(ok("legacy")));
    clients.clear();
    let freed = async {
        while stage.get("/", ANN).await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, freed)
        .await
        .expect("in time");
}

#[tokio::test]
async fn fallbacks_have_a_budget_that_all_requests_of_both_sides_earn() {
    let legacy = Scripted::saying("legacy").await;
    let failing = Act::Say(response("500 Oops", "text/html", "<h1>no</h1>"));
    let candidate = Scripted::always(failing).await;
    let stage = stage(&legacy, &candidate, "fallback = { budget_percent = 20 }").await;
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(stage.get("/", ANN).await.status());
    }
    // The reserve of ten, and one of five; what was refused got the candidate's own answer.
    assert_eq!((candidate.count(), legacy.count()), (60, 22));
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 22);
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 38);
    stage.shows(&refusals("fallback_budget"), "38");
    // Legacy's own requests are never refused by it, and earn.
    for _ in 0..10 {
        assert_eq!(stage.get("/", BOB).await.body, "legacy");
    }
    for status in [200, 200, 500] {
        assert_eq!(stage.get("/", ANN).await.status(), status);
    }
}

#[tokio::test]
async fn what_is_more_than_the_process_may_is_sent_away_at_once() {
    let legacy = Scripted::always(Act::Hang).await;
    let stage = Stage::open(&format!(
        "max_in_flight = 3\n{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    let mut clients = Vec::new();
    for number in 1..=3 {
        clients.push(waiting(&stage, "").await);
        legacy.saw(number).await;
    }
    for _ in 0..4 {
        let reply = stage.post("/", "", "order").await;
        assert_eq!((reply.status(), reply.code().as_str()), (503, "overloaded"));
        let wait: u64 = reply
            .header("retry-after")
            .expect("when")
            .parse()
            .expect("seconds");
        assert!((1..=30).contains(&wait), "{wait}");
    }
    assert_eq!(legacy.count(), 3);
    stage.shows("banyan_gateway_in_flight", "3.0");
    stage.shows("banyan_gateway_overload_refusals_total", "4");
    stage.shows("banyan_gateway_unmatched_requests_total", "0");
    // Who goes away makes room.
    legacy.now(Act::Say(ok("hello")));
    drop(clients);
    let freed = async {
        while stage.get("/", "").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, freed)
        .await
        .expect("in time");
}

#[tokio::test]
async fn an_answer_that_is_still_being_sent_is_under_way() {
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfour";
    let legacy = Scripted::always(Act::SayInTwo(first.to_owned(), "more".to_owned())).await;
    let stage = Stage::open(&format!(
        "max_in_flight = 1\n{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    let mut client = waiting(&stage, "").await;
    client.head().await;
    assert_eq!(stage.get("/", "").await.code(), "overloaded");
    legacy.release();
    assert_eq!(client.exactly(8).await, b"fourmore");
    let freed = async {
        while stage.get("/", "").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, freed)
        .await
        .expect("in time");
}
