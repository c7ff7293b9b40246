//! What counts as not processed (RFC 9113 §6.8, §8.7), and may therefore be asked again, here or on the
//! other side.

use super::stage;
use crate::framed::{CANCEL, Does, Framed, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM};
use crate::scripted::Scripted;
use crate::stage::{Stage, upstream};

/// Everybody goes to the candidate, which speaks HTTP/2; legacy can answer.
async fn two_sides(candidate: &Framed, legacy: &Scripted) -> Stage {
    Stage::single(&format!(
        "{}\n{}\n[flags.move]\npercent = 100.0\nsubject = [\"header:x-user-id\"]\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
         candidate = \"quiz\"\nflag = \"move\"\nfallback = true\n",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", candidate.address, "protocol = \"h2c\""),
    ))
    .await
}

#[tokio::test]
async fn a_refused_stream_is_asked_once_more_with_its_whole_body() {
    let refused = Does::Reset(REFUSED_STREAM);
    let legacy = Framed::script([refused], Does::Answer("done"), 100).await;
    let stage = stage(legacy.address, "").await;
    let reply = stage.post("/", "", "order").await;
    assert_eq!((reply.status(), reply.body.contains("done")), (200, true));
    let seen = legacy.seen();
    assert_eq!((seen.requests, seen.connections), (2, 1));
    assert_eq!(seen.bodies, [b"order", b"order"]);
}

#[tokio::test]
async fn an_upstream_that_refuses_everything_is_not_asked_for_ever() {
    let legacy = Framed::always(Does::Reset(REFUSED_STREAM)).await;
    let stage = stage(legacy.address, "").await;
    let reply = stage.post("/", "", "order").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert_eq!(legacy.seen().requests, 2);
}

#[tokio::test]
async fn what_was_refused_may_go_to_the_other_side_whatever_its_method() {
    for does in [Does::Reset(REFUSED_STREAM), Does::GoAway(0, NO_ERROR)] {
        let candidate = Framed::always(does).await;
        let legacy = Scripted::saying("legacy's").await;
        let stage = two_sides(&candidate, &legacy).await;
        let reply = stage.post("/", "x-user-id: a\r\n", "order").await;
        assert_eq!((reply.status(), reply.body.as_str()), (200, "legacy's"));
        assert_eq!(candidate.seen().requests, 2, "{does:?}");
        assert_eq!(legacy.count(), 1);
        assert_eq!(legacy.seen()[0].body, b"order");
    }
}

#[tokio::test]
async fn what_comes_after_the_last_stream_of_a_goodbye_goes_to_a_new_connection() {
    let goodbye = Does::GoAway(0, NO_ERROR);
    let legacy = Framed::script([goodbye], Does::Answer("done"), 100).await;
    let stage = stage(legacy.address, "").await;
    let reply = stage.post("/", "", "order").await;
    assert_eq!(reply.status(), 200);
    let seen = legacy.seen();
    assert_eq!((seen.requests, seen.connections), (2, 2));
}

/// Each of these may have been processed: an unsafe request reaches nobody else, a safe one may.
#[tokio::test]
async fn what_may_have_been_processed_is_asked_again_by_its_method_only() {
    for does in [
        Does::GoAway(1, NO_ERROR),
        Does::GoAway(1, INTERNAL_ERROR),
        Does::Reset(INTERNAL_ERROR),
        Does::Reset(CANCEL),
        Does::Reset(NO_ERROR),
    ] {
        let candidate = Framed::always(does).await;
        let legacy = Scripted::saying("legacy's").await;
        let stage = two_sides(&candidate, &legacy).await;
        let reply = stage.post("/", "x-user-id: a\r\n", "order").await;
        assert_eq!(
            (reply.status(), reply.code().as_str()),
            (502, "upstream_unreachable"),
            "{does:?}"
        );
        assert_eq!((candidate.seen().requests, legacy.count()), (1, 0));
        let reply = stage.get("/", "x-user-id: a\r\n").await;
        assert_eq!((reply.status(), reply.body.as_str()), (200, "legacy's"));
        assert_eq!((candidate.seen().requests, legacy.count()), (2, 1));
    }
}

#[tokio::test]
async fn a_connection_that_says_goodbye_takes_no_further_request() {
    let legacy = Framed::always(Does::GoAndAnswer("bye")).await;
    let stage = stage(legacy.address, "").await;
    for number in 1..=3 {
        assert_eq!(stage.post("/", "", "order").await.status(), 200);
        let seen = legacy.seen();
        assert_eq!((seen.requests, seen.connections), (number, number));
    }
}
