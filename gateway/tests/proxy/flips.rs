//! What becomes of WebSockets and event streams when their flag sends their subject to the other side.

use gateway::flag::{Note, Patch};

use crate::scripted::{Act, Scripted};
use crate::stage::{Client, Stage, upstream};

/// Two routes under one flag, of which one closes what flips.
async fn stage(legacy: &Scripted, candidate: &Scripted) -> Stage {
    let route = |id: &str, more: &str| {
        format!(
            "[[routes]]\nid = \"{id}\"\nprefix = \"/{id}\"\nlegacy = \"legacy\"\n\
             candidate = \"quiz\"\nflag = \"move\"\n{more}\n"
        )
    };
    Stage::open(&format!(
        "{}\n{}\n[flags.move]\npercent = 100.0\nsubject = [\"header:x-user-id\"]\ndeny = [\"bob\"]\n{}{}",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", candidate.address, ""),
        route("closing", "close_on_flip = true"),
        route("staying", ""),
    ))
    .await
}

async fn change(stage: &Stage, patch: &Patch) {
    let note = Note::new("ops", "a test", time::OffsetDateTime::UNIX_EPOCH);
    let flags = stage.control.flags();
    flags
        .change("move", patch, &note, None)
        .await
        .expect("a change");
}

async fn tunnel(stage: &Stage, path: &str, user: &str) -> Client {
    let mut client = stage.connect().await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nx-user-id: {user}\r\nconnection: upgrade\r\n\
         upgrade: echo\r\n\r\n"
    );
    client.send(request.as_bytes()).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    client
}

async fn echoes(client: &mut Client) {
    client.send(b"hello").await;
    assert_eq!(client.exactly(5).await, b"hello");
}

#[tokio::test]
async fn a_tunnel_whose_subject_flips_is_closed_where_the_route_says_so_and_lives_on_elsewhere() {
    let legacy = Scripted::always(Act::Tunnel).await;
    let candidate = Scripted::always(Act::Tunnel).await;
    let stage = stage(&legacy, &candidate).await;
    let mut ann = tunnel(&stage, "/closing", "ann").await;
    let mut bob = tunnel(&stage, "/closing", "bob").await;
    let mut staying = tunnel(&stage, "/staying", "ann").await;
    assert_eq!((candidate.count(), legacy.count()), (2, 1));
    change(&stage, &Patch::kill()).await;
    assert!(ann.rest().await.is_empty(), "closed without a byte more");
    echoes(&mut staying).await;
    // Bob was on legacy before: nothing flipped for him.
    echoes(&mut bob).await;
    tunnel(&stage, "/closing", "ann").await;
    assert_eq!(legacy.count(), 2);
}

#[tokio::test]
async fn an_event_stream_whose_subject_flips_ends_as_a_whole_one_does() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
    let first = || Act::SayInTwo(head.to_owned(), "data: 2\n\n".to_owned());
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::always(first()).await;
    let stage = stage(&legacy, &candidate).await;
    let mut streams = Vec::new();
    for path in ["/closing", "/staying"] {
        let mut client = stage.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-user-id: ann\r\n\r\n");
        client.send(request.as_bytes()).await;
        client.head().await;
        assert_eq!(client.exactly(14).await, b"9\r\ndata: 1\n\n\r\n");
        streams.push(client);
    }
    change(&stage, &Patch::kill()).await;
    assert_eq!(streams[0].exactly(5).await, b"0\r\n\r\n");
    candidate.release();
    assert_eq!(streams[1].exactly(14).await, b"9\r\ndata: 2\n\n\r\n");
}

#[tokio::test]
async fn a_tunnel_outlives_reloads_and_still_hears_of_its_flag() {
    let legacy = Scripted::always(Act::Tunnel).await;
    let candidate = Scripted::always(Act::Tunnel).await;
    let stage = stage(&legacy, &candidate).await;
    let mut client = tunnel(&stage, "/closing", "ann").await;
    let text = format!(
        "{}\n{}\n[flags.move]\npercent = 100.0\nsubject = [\"header:x-user-id\"]\ndeny = [\"bob\"]\n\
         [[routes]]\nid = \"other\"\nprefix = \"/\"\nlegacy = \"legacy\"\ncandidate = \"quiz\"\n\
         flag = \"move\"\n",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", candidate.address, ""),
    );
    stage.reload(&text).await;
    echoes(&mut client).await;
    change(&stage, &Patch::kill()).await;
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_silent_tunnel_is_closed_after_its_routes_time() {
    let legacy = Scripted::always(Act::Tunnel).await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
         tunnel_idle_timeout = \"300ms\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    let mut client = tunnel(&stage, "/", "ann").await;
    assert!(client.rest().await.is_empty());
}
