//! Boards as they change, over Server-Sent Events.

use std::time::Duration;

use contracts::QuizMode;
use reqwest::Response;
use serde_json::Value;
use testkit::Backend;
use tokio::time::timeout;

use crate::app::{App, PATIENCE, lines};

testkit::both_databases!(
    a_change_reaches_the_streams_of_both_replicas,
    a_client_that_comes_back_gets_only_what_it_missed,
    a_stream_shows_the_callers_own_line,
    one_stream_too_many_is_refused_and_the_end_of_the_service_waits_for_none,
);

const STREAM: &str = "/api/leaderboard/stream?quizMode=classic";

/// Longer than it takes to notice a change, shorter than a sign of life.
const QUIET: Duration = Duration::from_secs(3);

struct Stream {
    response: Response,
    text: String,
}

#[derive(Debug)]
struct Told {
    id: String,
    board: Value,
}

impl Stream {
    async fn open(app: &App, replica: usize, last: Option<&str>, token: Option<&str>) -> Self {
        let response = Self::request(app, replica, last, token).await;
        assert_eq!(response.status().as_u16(), 200);
        let header = |name: &str| {
            let value = response.headers().get(name).expect("a header");
            value.to_str().expect("text").to_owned()
        };
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-accel-buffering"), "no");
        Self {
            response,
            text: String::new(),
        }
    }

    async fn request(
        app: &App,
        replica: usize,
        last: Option<&str>,
        token: Option<&str>,
    ) -> Response {
        let url = format!("{}{STREAM}", app.replicas[replica].base);
        let mut request = app.client.get(url);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.expect("an answer")
    }

    /// The next event; none at the stream's end.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(told) = told(&event) {
                    return Some(told);
                }
                continue;
            }
            let more = timeout(PATIENCE, self.response.chunk()).await;
            let more = more.expect("in time").expect("readable")?;
            self.text
                .push_str(std::str::from_utf8(&more).expect("text"));
        }
    }

    /// The first event whose leader has this score.
    async fn led_with(&mut self, score: i64) -> Told {
        loop {
            let told = self.next().await.expect("an event");
            if told.board["top"][0]["score"] == score {
                return told;
            }
        }
    }
}

/// An event's id and data; none for a comment.
fn told(event: &str) -> Option<Told> {
    let field = |name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim().to_owned())
    };
    assert_eq!(
        field("event").as_deref().unwrap_or("leaderboard"),
        "leaderboard"
    );
    Some(Told {
        board: serde_json::from_str(&field("data")?).expect("JSON"),
        id: field("id")?,
    })
}

async fn a_change_reaches_the_streams_of_both_replicas(home: Backend) {
    let mut app = App::start(home).await;
    app.another().await;
    let mut first = Stream::open(&app, 0, None, None).await;
    let mut second = Stream::open(&app, 1, None, None).await;
    for stream in [&mut first, &mut second] {
        let empty = stream.next().await.expect("an event");
        assert!(lines(&empty.board["top"]).is_empty());
    }
    app.answer(1, QuizMode::Classic, 30).await;
    let ids = [first.led_with(30).await.id, second.led_with(30).await.id];
    assert_eq!(ids[0], ids[1], "either replica knows the other's events");
    // Another board is not this one's concern.
    app.answer(1, QuizMode::Timed, 30).await;
    app.settled().await;
    assert!(timeout(QUIET, first.next()).await.is_err());
}

async fn a_client_that_comes_back_gets_only_what_it_missed(home: Backend) {
    let mut app = App::start(home).await;
    app.another().await;
    app.answer(1, QuizMode::Classic, 30).await;
    app.settled().await;
    let id = Stream::open(&app, 0, None, None)
        .await
        .led_with(30)
        .await
        .id;
    let mut back = Stream::open(&app, 1, Some(&id), None).await;
    assert!(timeout(QUIET, back.next()).await.is_err());
    app.answer(1, QuizMode::Classic, 30).await;
    assert_ne!(back.led_with(60).await.id, id);
}

async fn a_stream_shows_the_callers_own_line(home: Backend) {
    let app = App::start(home).await;
    for (number, points) in [(1, 10), (2, 20), (3, 30)] {
        app.answer(number, QuizMode::Classic, points).await;
    }
    app.settled().await;
    let token = app.token(1);
    let mut stream = Stream::open(&app, 0, None, Some(&token)).await;
    assert_eq!(stream.led_with(30).await.board["me"]["position"], 3);
    app.answer(1, QuizMode::Classic, 90).await;
    assert_eq!(stream.led_with(100).await.board["me"]["position"], 1);
    let refused = Stream::request(&app, 0, None, Some("nonsense")).await;
    assert_eq!(refused.status().as_u16(), 401);
}

async fn one_stream_too_many_is_refused_and_the_end_of_the_service_waits_for_none(home: Backend) {
    let mut app = App::start_with(home, leaderboard::config::Bonus::default(), 1).await;
    let mut stream = Stream::open(&app, 0, None, None).await;
    stream.next().await.expect("an event");
    let refused = Stream::request(&app, 0, None, None).await;
    assert_eq!(refused.status().as_u16(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let body: Value = refused.json().await.expect("a body");
    assert_eq!(body["code"], "too_many_streams");
    let stopped = timeout(chassis::shutdown::DRAIN / 2, app.stop(0));
    stopped.await.expect("without the drain's whole time");
    assert!(stream.next().await.is_none(), "the stream ends cleanly");
}
