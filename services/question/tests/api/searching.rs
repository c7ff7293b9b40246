//! Full-text search: both databases find what the pure rules find, in the same order.

use contracts::{
    Difficulty,
    events::{Choice, QuestionCreated, QuestionUpdated},
};
use question::domain::{Question, Search};
use testkit::{Backend, eventually};
use uuid::Uuid;

use crate::{
    app::{App, PATIENCE},
    created, id, updated,
};

testkit::both_databases!(
    every_query_finds_what_the_rules_say_best_first_page_by_page,
    an_edit_is_found_by_its_new_words_only,
    what_another_version_wrote_is_indexed_at_the_next_start,
);

/// Questions with everything that a text search stumbles over.
fn bank() -> Vec<Question> {
    let texts = [
        (
            "node",
            "What does `fs.readFile('/etc/passwd', cb)` do?",
            [
                "Reads a file",
                "Writes a stream",
                "Naïve café",
                "<b>bold</b>",
            ],
            "fs",
        ),
        (
            "node",
            "Which stream does process.stdout belong to?",
            ["Writable", "Readable", "Größe über alles", "A file"],
            "streams",
        ),
        (
            "rust",
            "Was bedeutet Größe in dieser Straße?",
            ["GRÖSSE", "strasse", "C++ & C#", "OR NOT NEAR"],
            "umlauts",
        ),
        (
            "rust",
            "Is <script>alert(\"xss\")</script> a lifetime?",
            ["'static", "'a", "No", "* NEAR(a b)"],
            "lifetimes",
        ),
        (
            "rust",
            "Which traits does a streaming iterator have?",
            ["Iterator", "Read", "Stream", "None of them"],
            "iterators",
        ),
        (
            "networking",
            "What does HTTP/2 call a stream?",
            ["A frame", "A flow of frames", "127.0.0.1:8080", "1e5"],
            "http-2",
        ),
        (
            "networking",
            "Сколько байт в заголовке TCP?",
            ["20", "40", "日本語 テキスト", "½"],
            "tcp",
        ),
    ];
    let question =
        |(index, (category, text, choices, tag)): (u128, (&str, &str, [&str; 4], &str))| Question {
            id: id(index),
            text: text.to_owned(),
            category: category.to_owned(),
            difficulty: Difficulty::Easy,
            choices: ["a", "b", "c", "d"]
                .into_iter()
                .zip(choices)
                .map(|(id, text)| Choice {
                    id: id.to_owned(),
                    text: text.to_owned(),
                })
                .collect(),
            correct_choice_id: "a".to_owned(),
            tags: vec![tag.to_owned()],
            version: 1,
        };
    (1..).zip(texts).map(question).collect()
}

const QUERIES: &[&str] = &[
    "stream",
    "streams",
    "STREAM",
    "stre",
    "a stream",
    "stream a",
    "stream stream",
    "größe",
    "GROSSE",
    "grosse",
    "strasse",
    "straße",
    "cafe",
    "café",
    "naive",
    "naïve caf",
    "readfile",
    "fs.readFile",
    "etc/passwd",
    "script",
    "<script>",
    "alert(\"xss\")",
    "b",
    "bold",
    "<b>",
    "\"",
    "'",
    "*",
    "a*",
    "stream*",
    "NEAR",
    "NEAR(a b)",
    "NEAR/2",
    "OR",
    "a OR b",
    "a AND b",
    "NOT a",
    "-stream",
    "+stream",
    "^stream",
    "stream:",
    "head:stream",
    "{head body}: stream",
    "head : stream",
    "(",
    ")",
    "((stream",
    "stream & which",
    "stream | which",
    "!stream",
    "stream <-> which",
    "'stream':*",
    "\\",
    "\\'",
    "%",
    "_",
    ";--",
    "http/2",
    "http 2",
    "http-2",
    "127.0.0.1",
    "8080",
    "1e5",
    "c++",
    "c#",
    "static",
    "'static",
    "байт",
    "БАЙТ заг",
    "日本語",
    "½",
    "1 2",
    "rust",
    "rust stream",
    "networking stream",
    "nothing of the kind",
    "what does",
    "\u{202e}stream",
    "stream\u{301}",
    "🦀",
    "a b c d e f g h",
    "iterator trait",
    "ite",
];

/// What the rules say: the best first, then by id.
fn expected(bank: &[Question], query: &str) -> Vec<Uuid> {
    let search = Search::parse(query);
    let mut found: Vec<_> = bank
        .iter()
        .filter(|question| search.finds(question))
        .map(|question| (-search.rank(question), question.id))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, id)| id).collect()
}

/// Everything that a query finds, by pages of two.
async fn found(app: &App, query: &str) -> Vec<Uuid> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/questions?limit=2&q={encoded}{cursor}");
        let (status, page) = app.get(&path).await;
        assert_eq!(status, 200, "{query}: {page}");
        for item in page["items"].as_array().expect("items") {
            all.push(item["id"].as_str().expect("id").parse().expect("id"));
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

async fn every_query_finds_what_the_rules_say_best_first_page_by_page(backend: Backend) {
    let app = App::start(backend).await;
    let bank = bank();
    for question in &bank {
        let event = QuestionCreated {
            question_id: question.id,
            text: question.text.clone(),
            category: question.category.clone(),
            difficulty: question.difficulty,
            choices: question.choices.clone(),
            correct_choice_id: question.correct_choice_id.clone(),
            tags: question.tags.clone(),
            version: 1,
        };
        app.append(question.id, 1, &event).await;
    }
    let ids: Vec<Uuid> = bank.iter().map(|question| question.id).collect();
    app.shows(&ids).await;
    let mut hits = 0;
    for query in QUERIES {
        let expected = expected(&bank, query);
        assert_eq!(found(&app, query).await, expected, "{query:?}");
        hits += usize::from(!expected.is_empty());
    }
    assert!(hits > QUERIES.len() / 2, "the table proves little: {hits}");
    let (_, page) = app.get("/api/questions?q=stream&category=rust").await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
}

async fn an_edit_is_found_by_its_new_words_only(backend: Backend) {
    let app = App::start(backend).await;
    app.append(id(1), 1, &created(id(1), "rust", "What is a borrow?"))
        .await;
    app.shows(&[id(1)]).await;
    assert_eq!(found(&app, "borrow").await, [id(1)]);
    let edited = QuestionUpdated {
        tags: vec!["raii".to_owned()],
        ..updated(id(1), "What is a destructor?")
    };
    app.append(id(1), 2, &edited).await;
    eventually(PATIENCE, || async {
        found(&app, "destructor").await == [id(1)]
    })
    .await;
    assert_eq!(found(&app, "raii").await, [id(1)]);
    assert!(found(&app, "borrow").await.is_empty());
}

async fn what_another_version_wrote_is_indexed_at_the_next_start(backend: Backend) {
    let app = App::start(backend).await;
    app.append(id(1), 1, &created(id(1), "rust", "What is a borrow?"))
        .await;
    app.shows(&[id(1)]).await;
    // As a replica of the version before would write it.
    let database = app.database().await;
    let sql = "UPDATE questions SET text = 'What is a destructor?', updated_at = $1";
    let later = database.now().await.expect("a time");
    database
        .execute(sql, database::params![later])
        .await
        .expect("an edit");
    database.close().await;
    let restarted = app.beside().await;
    eventually(PATIENCE, || async {
        let (_, page) = restarted.get("/api/questions?q=destructor").await;
        page["items"]
            .as_array()
            .is_some_and(|items| items.len() == 1)
    })
    .await;
    let (_, page) = restarted.get("/api/questions?q=borrow").await;
    assert_eq!(page["items"], serde_json::json!([]));
}
