//! What may be tried again, and where: every case of DESIGN.md's rule ("Gateway"), counted on both
//! sides. The candidate may be asked twice and its route falls back to legacy.

use std::net::SocketAddr;

use crate::scripted::{Act, Scripted, response};
use crate::stage::{Reply, Stage, upstream};

/// How the candidate fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failing {
    /// Nobody listens: nothing was sent.
    Refused,
    /// Its circuit is open: nothing was sent.
    Open,
    /// It closes once it has read the request.
    Reset,
    /// It says nothing.
    Silent,
    /// It answers what is no HTTP.
    Garbage,
    /// It answers this without a problem `code`.
    Uncoded(u16),
    /// Its framework says that a handler broke.
    Broke,
    /// It says so itself: an outcome, whatever the status.
    Coded(u16),
    /// An answer that is no failure.
    Answers(u16),
}

use Failing::*;

/// Nothing of it was sent.
const UNSENT: [Failing; 2] = [Refused, Open];
/// It may have been processed.
const SENT: [Failing; 8] = [
    Reset,
    Silent,
    Garbage,
    Uncoded(500),
    Uncoded(502),
    Uncoded(503),
    Uncoded(504),
    Broke,
];
/// The application has spoken.
const OUTCOMES: [Failing; 8] = [
    Coded(500),
    Coded(502),
    Coded(503),
    Coded(504),
    Answers(200),
    Answers(404),
    Answers(429),
    Answers(501),
];

/// A request, and how often each side may see it.
#[derive(Debug)]
struct Case {
    method: &'static str,
    /// Header lines.
    headers: &'static str,
    /// The route says that keys are honoured.
    honours_keys: bool,
    body: usize,
    /// Candidate and legacy, when it was sent and failed.
    sent: (usize, usize),
}

const SAFE: Case = Case {
    method: "GET",
    headers: "",
    honours_keys: false,
    body: 0,
    sent: (2, 1),
};
const UNSAFE: Case = Case {
    method: "POST",
    body: 5,
    sent: (1, 0),
    ..SAFE
};
const KEYED: Case = Case {
    headers: "idempotency-key: k1\r\n",
    ..UNSAFE
};

const CASES: &[Case] = &[
    SAFE,
    Case {
        method: "OPTIONS",
        ..SAFE
    },
    Case { body: 5, ..SAFE },
    // What is not kept cannot be sent a second time.
    Case {
        body: 100_000,
        sent: (1, 0),
        ..SAFE
    },
    // Idempotent and unsafe: again here, never over there.
    Case {
        method: "PUT",
        sent: (2, 0),
        ..UNSAFE
    },
    Case {
        method: "DELETE",
        body: 0,
        sent: (2, 0),
        ..UNSAFE
    },
    UNSAFE,
    Case {
        method: "PATCH",
        ..UNSAFE
    },
    Case {
        method: "PURGE",
        ..UNSAFE
    },
    Case {
        honours_keys: true,
        ..UNSAFE
    },
    // A key that nobody says is honoured licenses nothing; one that is, this side only.
    KEYED,
    Case {
        honours_keys: true,
        sent: (2, 0),
        ..KEYED
    },
    Case {
        honours_keys: true,
        method: "PATCH",
        sent: (2, 0),
        ..KEYED
    },
    Case {
        honours_keys: true,
        body: 100_000,
        ..KEYED
    },
    // Which of two keys counts is anybody's guess.
    Case {
        headers: "idempotency-key: k1\r\nidempotency-key: k2\r\n",
        honours_keys: true,
        ..UNSAFE
    },
    Case {
        headers: "idempotency-key: \r\n",
        honours_keys: true,
        ..UNSAFE
    },
];

impl Failing {
    fn act(self) -> Act {
        let coded = r#"{"code":"out_of_stock"}"#;
        let problem = "application/problem+json";
        match self {
            Refused | Open | Reset => Act::Close,
            Silent => Act::Hang,
            Garbage => Act::SayAndClose("garbage\r\n\r\n".to_owned()),
            Uncoded(status) => Act::Say(response(&format!("{status} Oops"), "text/html", "<h1>")),
            Broke => Act::Say(response(
                "500 Oops",
                problem,
                r#"{"code":"internal_error"}"#,
            )),
            Coded(status) => Act::Say(response(&format!("{status} Sorry"), problem, coded)),
            Answers(status) => Act::Say(response(&format!("{status} Said"), "text/plain", "so")),
        }
    }

    /// What a client gets that nobody else answers.
    fn status(self) -> u16 {
        match self {
            Refused | Reset | Garbage => 502,
            Open => 503,
            Silent => 504,
            Broke => 500,
            Uncoded(status) | Coded(status) | Answers(status) => status,
        }
    }
}

impl Case {
    fn request(&self) -> String {
        let Self {
            method,
            headers,
            body,
            ..
        } = self;
        let length = match body {
            0 => String::new(),
            length => format!("content-length: {length}\r\n"),
        };
        let body = "x".repeat(*body);
        format!("{method} /order HTTP/1.1\r\nhost: a\r\n{length}{headers}\r\n{body}")
    }

    /// Asks, and counts what candidate and legacy saw of it.
    async fn ask(&self, failing: Failing) -> (Reply, usize, usize) {
        let legacy = Scripted::saying("legacy").await;
        let candidate = Scripted::always(failing.act()).await;
        let address = match failing {
            Refused => Scripted::absent().await,
            _ => candidate.address,
        };
        let stage = self.stage(legacy.address, address, failing).await;
        if failing == Open {
            stage.get("/", "").await;
        }
        let before = (candidate.count(), legacy.count());
        let reply = stage.ask(&self.request()).await;
        let saw = candidate.count() - before.0;
        (reply, saw, legacy.count() - before.1)
    }

    async fn stage(&self, legacy: SocketAddr, candidate: SocketAddr, failing: Failing) -> Stage {
        let breaker = match failing {
            Open => "breaker = { failures = 1, window = \"60s\", open_for = \"60s\" }\n",
            _ => "",
        };
        let timeout = match failing {
            Silent => "timeout = \"200ms\"\n",
            _ => "",
        };
        let settings =
            format!("retry = {{ attempts = 2, budget_percent = 100 }}\n{timeout}{breaker}");
        Stage::open(&format!(
            "{}\n{}\n[flags.move]\npercent = 100.0\n[[routes]]\nid = \"all\"\nprefix = \"/\"\n\
             legacy = \"legacy\"\ncandidate = \"quiz\"\nflag = \"move\"\nfallback = true\n\
             retry_keyed = {}\n",
            upstream("legacy", legacy, ""),
            upstream("quiz", candidate, &settings),
            self.honours_keys,
        ))
        .await
    }

    /// What went otherwise than it should.
    async fn judge(&self, failing: Failing) -> Option<String> {
        let (reply, candidate, legacy) = self.ask(failing).await;
        let wanted = if OUTCOMES.contains(&failing) {
            (1, 0)
        } else if UNSENT.contains(&failing) {
            (0, 1)
        } else {
            self.sent
        };
        let status = if wanted.1 == 1 { 200 } else { failing.status() };
        let is_right = (candidate, legacy) == wanted && reply.status() == status;
        let is_told = (reply.header("x-banyan-fallback") == Some("1")) == (wanted.1 == 1);
        (!is_right || !is_told).then(|| {
            let status = reply.status();
            format!("{failing:?}, {self:?}: {status}, candidate {candidate}, legacy {legacy}")
        })
    }
}

async fn judge(failings: &[Failing]) {
    let mut wrong = Vec::new();
    for case in CASES {
        for failing in failings {
            wrong.extend(case.judge(*failing).await);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn what_was_not_sent_goes_to_the_other_side_whatever_it_is() {
    judge(&UNSENT).await;
}

#[tokio::test]
async fn what_was_sent_goes_where_doing_it_twice_does_no_harm() {
    judge(&SENT).await;
}

#[tokio::test]
async fn an_outcome_goes_nowhere_but_to_the_client() {
    judge(&OUTCOMES).await;
}

/// A route whose attempts have so much time together.
async fn hurried(legacy: &Scripted, candidate: &Scripted, deadline: &str, quiz: &str) -> Stage {
    Stage::open(&format!(
        "{}\n{}\n[flags.move]\npercent = 100.0\n[[routes]]\nid = \"all\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\ncandidate = \"quiz\"\nflag = \"move\"\nfallback = true\n\
         deadline = \"{deadline}\"\n",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", candidate.address, quiz),
    ))
    .await
}

#[tokio::test]
async fn a_deadline_ends_all_attempts_on_both_sides() {
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::always(Act::Hang).await;
    let retry = "retry = { attempts = 5, budget_percent = 100 }";
    let stage = hurried(&legacy, &candidate, "200ms", retry).await;
    // The candidate's own timeout is 15 s: without the deadline this would not end in time.
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (504, "upstream_timeout")
    );
    assert_eq!((candidate.count(), legacy.count()), (1, 0));
    assert_eq!(
        stage.stats("all").candidate.failures,
        1,
        "its breaker hears of it"
    );
}

#[tokio::test]
async fn an_attempt_that_leaves_time_is_followed_by_the_next() {
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::always(Act::Hang).await;
    let quick = "timeout = \"100ms\"\nretry = { attempts = 2, budget_percent = 100 }";
    let stage = hurried(&legacy, &candidate, "20s", quick).await;
    assert_eq!(stage.get("/", "").await.body, "legacy");
    assert_eq!((candidate.count(), legacy.count()), (2, 1));
}

#[tokio::test]
async fn a_deadline_is_over_with_the_head_and_cuts_no_body() {
    let legacy = Scripted::saying("legacy").await;
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfour";
    let halves = Act::SayInTwo(first.to_owned(), "more".to_owned());
    let candidate = Scripted::always(halves).await;
    let stage = hurried(&legacy, &candidate, "300ms", "").await;
    let mut client = stage.connect().await;
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.head().await;
    // Another request's deadline passes meanwhile.
    candidate.now(Act::Hang);
    assert_eq!(stage.get("/", "").await.status(), 504);
    candidate.release();
    assert_eq!(client.exactly(8).await, b"fourmore");
}

/// The candidate takes two of three seconds: what is left says nothing about legacy.
#[tokio::test]
async fn who_gets_what_others_left_of_a_deadline_is_not_blamed() {
    let legacy = Scripted::always(Act::Hang).await;
    let candidate = Scripted::always(Act::Hang).await;
    let stage = hurried(&legacy, &candidate, "3s", "timeout = \"2s\"").await;
    assert_eq!(stage.get("/", "").await.status(), 504);
    assert_eq!((candidate.count(), legacy.count()), (1, 1));
    let stats = stage.stats("all");
    assert_eq!((stats.candidate.failures, stats.legacy.failures), (1, 0));
}
