//! Curators' questions: the role admin, what of their edits players see, files, and that the new side
//! answers alike.

use std::time::Duration;

use database::{Options, Timestamp, params};
use serde_json::{Value, json};
use testkit::{Backend, eventually};

use crate::app::{Legacy, PATIENCE, Reply, Server, bank};

testkit::both_databases!(
    a_question_is_added_edited_and_removed,
    an_edits_time_rises_although_the_clock_was_set_back,
    only_administrators_curate,
    a_faulty_question_is_refused_naming_every_fault,
    of_two_edits_of_one_version_one_wins_and_the_other_gets_the_current_question,
    the_good_rows_of_a_file_are_in_and_the_bad_ones_are_told_with_their_lines,
    what_was_exported_changes_nothing_when_it_is_imported,
    a_curators_session_is_the_same_on_the_new_side,
    what_is_written_in_the_monolith_is_soon_on_the_new_side,
);

const PATH: &str = "/api/admin/questions";

fn draft() -> Value {
    json!({
        "text": "Which port does HTTPS use?", "category": "networking", "difficulty": "easy",
        "choices": [
            { "id": "a", "text": "80" }, { "id": "b", "text": "443" },
            { "id": "c", "text": "22" }, { "id": "d", "text": "53" },
        ],
        "correctChoiceId": "b",
    })
}

async fn a_question_is_added_edited_and_removed(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (http, root) = (&legacy.http, legacy.root().await);
    let made = http.post(PATH, Some(&root), draft()).await;
    assert_eq!((made.status, &made.body["version"]), (201, &json!(1)));
    assert_eq!(made.body["correctChoiceId"], "b");
    let path = format!("{PATH}/{}", made.text("/id"));
    let shown = format!("/api/questions/{}", made.text("/id"));
    assert_eq!(
        http.get(&shown, None).await.text("/text"),
        "Which port does HTTPS use?"
    );

    let mut edited = draft();
    edited["difficulty"] = json!("medium");
    let replaced = http.put(&path, Some(&root), edited).await;
    assert_eq!(
        (replaced.status, &replaced.body["version"]),
        (200, &json!(2))
    );
    assert_eq!(http.get(&shown, None).await.text("/difficulty"), "medium");

    assert_eq!(http.delete(&path, Some(&root)).await.status, 204);
    assert_eq!(
        http.get(&shown, None).await.problem(),
        (404, "question_not_found", "")
    );
    assert_eq!(
        http.delete(&path, Some(&root)).await.problem(),
        (404, "question_not_found", "")
    );
    let gone = http.put(&path, Some(&root), draft()).await;
    assert_eq!(gone.problem(), (404, "question_not_found", ""));

    let page = http.get("/api/admin/questions?limit=3", Some(&root)).await;
    assert_eq!(page.body["items"].as_array().map(Vec::len), Some(3));
    assert!(page.body["items"][0]["correctChoiceId"].is_string());
}

async fn an_edits_time_rises_although_the_clock_was_set_back(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (http, root) = (&legacy.http, legacy.root().await);
    let made = http.post(PATH, Some(&root), draft()).await;
    let path = format!("{PATH}/{}", made.text("/id"));
    let db = legacy.backend.open(Options::default()).await;
    let mut last = db.now().await.expect("a time") + Duration::from_secs(600);
    let sql = "UPDATE questions SET updated_at = $1 WHERE version = 1 AND text = $2";
    let text = made.text("/text");
    let set = db.execute(sql, params![last, &text]).await;
    assert_eq!(set.expect("an earlier edit"), 1);
    let written = async || -> Timestamp {
        let sql = "SELECT updated_at FROM questions WHERE text = $1";
        let row = db.fetch_one(sql, params![&text]).await;
        let (at,): (Timestamp,) = row.expect("the question");
        at
    };
    assert_eq!(http.put(&path, Some(&root), draft()).await.status, 200);
    assert!(written().await > last);
    last = written().await;
    assert_eq!(http.delete(&path, Some(&root)).await.status, 204);
    assert!(written().await > last);
}

async fn only_administrators_curate(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let player = legacy.player("ada").await;
    let path = format!("{PATH}/{}", bank()[0].id);
    for (token, problem) in [
        (None, (401, "unauthenticated", "")),
        (Some(player.as_str()), (403, "forbidden", "")),
    ] {
        assert_eq!(legacy.http.get(PATH, token).await.problem(), problem);
        // Whatever else is wrong with the request, this is what is told.
        for body in [draft(), json!({ "text": "Short?" })] {
            let import = format!("{PATH}/import?mode=none");
            for path in [PATH, &import] {
                let refused = legacy.http.post(path, token, body.clone()).await;
                assert_eq!(refused.problem(), problem, "{path}");
            }
            let refused = legacy.http.put(&path, token, body).await;
            assert_eq!(refused.problem(), problem);
        }
        let faulty = format!("{path}?version=x");
        for path in [&path, &faulty] {
            assert_eq!(legacy.http.delete(path, token).await.problem(), problem);
        }
    }
}

async fn a_faulty_question_is_refused_naming_every_fault(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let root = legacy.root().await;
    let mut faulty = draft();
    faulty["text"] = json!("Short?");
    faulty["correctChoiceId"] = json!("e");
    let reply = legacy.http.post(PATH, Some(&root), faulty).await;
    assert_eq!(reply.problem(), (422, "invalid_field", "text"));
    let fields: Vec<&str> = reply.body["faults"]
        .as_array()
        .expect("all faults")
        .iter()
        .filter_map(|fault| fault["field"].as_str())
        .collect();
    assert_eq!(fields, ["text", "correctChoiceId"]);
}

async fn of_two_edits_of_one_version_one_wins_and_the_other_gets_the_current_question(
    backend: Backend,
) {
    let legacy = Legacy::start(backend).await;
    let (http, root) = (&legacy.http, legacy.root().await);
    let made = http.post(PATH, Some(&root), draft()).await;
    let path = format!("{PATH}/{}", made.text("/id"));
    for round in 1..=5 {
        let edit = |difficulty: &str| {
            let mut body = draft();
            body["difficulty"] = json!(difficulty);
            body["version"] = json!(round);
            body
        };
        let (one, other) = tokio::join!(
            http.put(&path, Some(&root), edit("medium")),
            http.put(&path, Some(&root), edit("hard"))
        );
        let (winner, loser) = if one.status == 200 {
            (one, other)
        } else {
            (other, one)
        };
        assert_eq!(winner.status, 200, "{winner:?}");
        assert_eq!(loser.problem(), (409, "version_conflict", "version"));
        assert_eq!(loser.body["currentVersion"], json!(round + 1));
        assert_eq!(loser.body["current"], winner.body);
    }
}

/// A file with 2,000 rows, and the lines of those that are bad.
fn file() -> (String, Vec<(u64, &'static str)>) {
    let mut file =
        "text,category,difficulty,choice_1,choice_2,choice_3,choice_4,correct\r\n".to_owned();
    let mut bad = Vec::new();
    for number in 0..2_000_u64 {
        let (category, difficulty, code) = match number % 400 {
            13 => ("No Such", "easy", Some("invalid_field")),
            14 => ("rust", "brutal", Some("invalid_field")),
            15 => ("rust,too,many", "easy", Some("malformed_row")),
            _ => ("rust", "hard", None),
        };
        bad.extend(code.map(|code| (number + 2, code)));
        file += &format!("What is number {number}?,{category},{difficulty},1,2,3,4,C\r\n");
    }
    (file, bad)
}

fn refused(report: &Reply) -> Vec<(u64, &str)> {
    let rows = report.body["refused"].as_array().expect("rows");
    rows.iter()
        .map(|row| {
            let code = row["code"].as_str().expect("a code");
            (row["line"].as_u64().expect("a line"), code)
        })
        .collect()
}

fn counts(report: &Reply) -> [u64; 4] {
    assert_eq!(report.status, 200, "{report:?}");
    ["rows", "created", "updated", "unchanged"]
        .map(|name| report.body[name].as_u64().expect("a count"))
}

async fn the_good_rows_of_a_file_are_in_and_the_bad_ones_are_told_with_their_lines(
    backend: Backend,
) {
    let legacy = Legacy::start(backend).await;
    let root = legacy.root().await;
    let (file, bad) = file();
    let import = format!("{PATH}/import");
    let first = legacy.http.upload(&import, &root, "text/csv", &file).await;
    assert_eq!(counts(&first), [2_000, 1_985, 0, 0]);
    assert_eq!(refused(&first), bad);
    let second = legacy.http.upload(&import, &root, "text/csv", &file).await;
    assert_eq!(counts(&second), [2_000, 0, 0, 1_985]);
    assert_eq!(refused(&second), bad);
    let found = legacy
        .http
        .get(&format!("{PATH}?q=NUMBER+1234"), Some(&root))
        .await;
    assert_eq!(found.body["items"].as_array().map(Vec::len), Some(1));
}

async fn what_was_exported_changes_nothing_when_it_is_imported(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let root = legacy.root().await;
    let whole = bank().len() as u64;
    for (format, kind) in [
        ("json", "application/json"),
        ("ndjson", "application/x-ndjson"),
        ("csv", "text/csv"),
    ] {
        let export = format!("{PATH}/export?format={format}");
        let file = legacy.http.download(&export, &root).await;
        let import = format!("{PATH}/import");
        let back = legacy.http.upload(&import, &root, kind, &file).await;
        assert_eq!(counts(&back), [whole, 0, 0, whole], "{format}");
    }
}

/// What a curator does, and is answered.
async fn session(http: &Server, root: &str) -> Vec<Reply> {
    let token = Some(root);
    let mut told = Vec::new();
    let made = http.post(PATH, token, draft()).await;
    let path = format!("{PATH}/{}", made.text("/id"));
    told.push(made);
    told.push(http.post(PATH, token, draft()).await);
    let mut edit = draft();
    edit["tags"] = json!(["tls", "http"]);
    edit["version"] = json!(1);
    told.push(http.put(&path, token, edit.clone()).await);
    told.push(http.put(&path, token, edit.clone()).await);
    edit["version"] = json!(0);
    edit["text"] = json!("<b>");
    told.push(http.put(&path, token, edit).await);
    told.push(http.get(&path, token).await);
    for query in [
        "limit=5",
        "category=networking&difficulty=easy",
        "tag=tls",
        "q=HTTPS",
        "limit=0&tag=No",
        "cursor=nonsense",
    ] {
        told.push(http.get(&format!("{PATH}?{query}"), token).await);
    }
    let first = http.get(&format!("{PATH}?limit=7"), token).await;
    let next = first.text("/nextCursor");
    told.push(
        http.get(&format!("{PATH}?limit=7&cursor={next}"), token)
            .await,
    );
    told.push(first);
    let import = format!("{PATH}/import");
    let rows = "text,category,difficulty,choiceA,choiceB,choiceC,choiceD,correct,tags\r\n\
                What is the first row?,rust,easy,1,2,3,4,a,x|y\r\n\
                What is the second row?,Rust,easy,1,2,3,4,a,\r\n\
                What is the first row?,rust,hard,1,2,3,4,a,\r\n";
    told.push(http.upload(&import, root, "text/csv", rows).await);
    told.push(http.upload(&import, root, "text/csv", rows).await);
    told.push(http.upload(&import, root, "text/plain", rows).await);
    told.push(http.upload(&import, root, "application/json", "[1").await);
    for format in ["json", "csv", "ndjson"] {
        let export = format!("{PATH}/export?format={format}&category=rust");
        let file = http.download(&export, root).await;
        told.push(Reply {
            status: 200,
            body: json!(file),
        });
    }
    told.push(http.delete(&format!("{path}?version=1"), token).await);
    told.push(http.delete(&format!("{path}?version=2"), token).await);
    told.push(http.get(&path, token).await);
    for reply in &mut told {
        if let Some(body) = reply.body.as_object_mut() {
            body.remove("traceId");
        }
    }
    told
}

async fn a_curators_session_is_the_same_on_the_new_side(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (question, _bank, log) = legacy.question_beside().await;
    let (admin, _database) = legacy.admin_beside(&log).await;
    let root = legacy.root().await;
    let whole = bank().len();
    eventually(PATIENCE, || async {
        let export = format!("{PATH}/export?format=ndjson");
        admin.download(&export, &root).await.lines().count() == whole
    })
    .await;
    let here = session(&admin, &root).await;
    // The new side's questions are its own: the monolith has not heard of them.
    let there = session(&legacy.http, &root).await;
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(here, there);
    }
    assert_eq!(here[0].status, 201, "confirmed by the question service");
    admin.stop().await;
    question.stop().await;
}

async fn what_is_written_in_the_monolith_is_soon_on_the_new_side(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (question, _bank, log) = legacy.question_beside().await;
    let (admin, _database) = legacy.admin_beside(&log).await;
    let root = legacy.root().await;
    let seeded = bank().swap_remove(0);
    let path = format!("{PATH}/{}", seeded.id);
    eventually(PATIENCE, || async {
        admin.get(&path, Some(&root)).await.status == 200
    })
    .await;
    let mut edited = draft();
    edited["text"] = json!("Edited in the monolith?");
    let edit = legacy.http.put(&path, Some(&root), edited).await;
    assert_eq!(edit.status, 200, "{edit:?}");
    let made = legacy.http.post(PATH, Some(&root), draft()).await;
    let shown = format!("/api/questions/{}", seeded.id);
    let made_path = format!("/api/questions/{}", made.text("/id"));
    eventually(PATIENCE, || async {
        let curated = admin.get(&path, Some(&root)).await;
        let played = question.get(&shown, None).await;
        let new = question.get(&made_path, None).await;
        curated.body == edit.body && played.body["text"] == edit.body["text"] && new.status == 200
    })
    .await;
    assert_eq!(legacy.http.delete(&path, Some(&root)).await.status, 204);
    eventually(PATIENCE, || async {
        admin.get(&path, Some(&root)).await.status == 404
            && question.get(&shown, None).await.status == 404
    })
    .await;
    admin.stop().await;
    question.stop().await;
}
