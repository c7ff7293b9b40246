//! What a reload leaves alone, although it puts another table in force: breakers and the balancer's
//! counts. (Limits: `limits`; tunnels: `flips` and `life`; connections and statistics: `life`.)

use crate::scripted::{Act, Scripted};
use crate::stage::{Stage, upstream};

/// One route to one upstream; `more` makes it another table.
fn table(upstreams: &str, more: &str) -> String {
    format!("{upstreams}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n{more}")
}

#[tokio::test]
async fn an_open_circuit_stays_open() {
    let legacy = Scripted::always(Act::Close).await;
    let breaker = "breaker = { failures = 2, window = \"1h\", open_for = \"1h\" }";
    let upstreams = upstream("legacy", legacy.address, breaker);
    let stage = Stage::open(&table(&upstreams, "")).await;
    for _ in 0..2 {
        assert_eq!(stage.get("/", "").await.status(), 502);
    }
    legacy.now(Act::Say(crate::scripted::ok("well again")));
    stage.reload(&table(&upstreams, "max_body = 1\n")).await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (503, "upstream_open")
    );
    assert_eq!(legacy.count(), 2);
}

#[tokio::test]
async fn what_is_in_flight_still_counts_for_the_balancer() {
    let busy = Scripted::always(Act::Hang).await;
    let idle = Scripted::saying("idle").await;
    let upstreams = format!(
        "[upstreams.legacy]\nendpoints = [\"http://{}\", \"http://{}\"]\n",
        busy.address, idle.address
    );
    let stage = Stage::open(&table(&upstreams, "")).await;
    // Whichever is asked first: the one that hangs has a request sooner or later.
    let waiting = loop {
        let mut client = stage.connect().await;
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        tokio::select! {
            () = busy.saw(1) => break client,
            reply = client.reply(false) => assert_eq!(reply.body, "idle"),
        }
    };
    for round in 0..3 {
        stage
            .reload(&table(&upstreams, &format!("max_body = {}\n", round + 1)))
            .await;
        let snapshot = stage.data.upstreams().snapshot();
        let in_flight: u64 = snapshot[0]
            .endpoints
            .iter()
            .map(|endpoint| endpoint.in_flight as u64)
            .sum();
        assert_eq!(in_flight, 1);
        // Two choices of two: the busier one is never taken.
        let reply = stage.get("/", "").await;
        assert_eq!(reply.body, "idle");
    }
    assert_eq!(busy.count(), 1);
    drop(waiting);
}
