//! Questions by the file: 10,000 rows of which 37 are bad, interrupted imports, and exports that come
//! back unchanged.

use admin::domain::FILE_MAX;
use serde_json::{Value, json};
use testkit::Backend;

use crate::app::{App, Home, Reply, draft};

testkit::both_databases!(
    of_ten_thousand_csv_rows_the_good_ones_are_in_and_the_bad_ones_are_told_with_their_lines,
    of_ten_thousand_json_rows_the_good_ones_are_in_and_the_bad_ones_are_told_with_their_lines,
    an_import_that_breaks_in_the_middle_goes_on_when_it_is_repeated,
    what_was_exported_changes_nothing_when_it_is_imported,
    an_import_into_what_is_there_keeps_to_versions_and_mode,
    what_is_no_file_of_questions_is_refused_as_a_whole,
);

const PATH: &str = "/api/admin/questions";
const IMPORT: &str = "/api/admin/questions/import";
const HEADER: &str =
    "id,text,category,difficulty,choiceA,choiceB,choiceC,choiceD,correct,tags,version";

const ROWS: usize = 10_000;
const BAD: usize = 37;
/// A bad row comes every so many rows.
const EVERY: usize = 270;

/// A row of the test's file, as the fields of a JSON question, and what an import should say of it.
struct Sample {
    fields: Value,
    fault: Option<(&'static str, &'static str)>,
}

/// What is wrong with a bad row: the field changed, its value, the code, the column and the JSON
/// field at fault.
type Kind = (&'static str, fn() -> Value, &'static str, [&'static str; 2]);

const KINDS: [Kind; 9] = [
    (
        "text",
        || json!("Short?"),
        "invalid_field",
        ["text", "text"],
    ),
    (
        "text",
        || json!("a bell \u{7} rings here"),
        "invalid_field",
        ["text", "text"],
    ),
    (
        "category",
        || json!("No Such"),
        "invalid_field",
        ["category", "category"],
    ),
    (
        "difficulty",
        || json!("brutal"),
        "invalid_field",
        ["difficulty", "difficulty"],
    ),
    (
        "correctChoiceId",
        || json!("e"),
        "invalid_field",
        ["correct", "correctChoiceId"],
    ),
    (
        "tags",
        || json!(["No"]),
        "invalid_field",
        ["tags", "tags[0]"],
    ),
    ("id", || json!("seven"), "invalid_field", ["id", "id"]),
    (
        "version",
        || json!(0),
        "invalid_field",
        ["version", "version"],
    ),
    // The question of the file's first row.
    (
        "text",
        || draft(0)["text"].clone(),
        "duplicate_row",
        ["", ""],
    ),
];

fn samples(form: usize) -> Vec<Sample> {
    (0..ROWS)
        .map(|number| {
            let mut fields = draft(number);
            if number % 7 == 3 {
                fields["text"] = json!(format!("What does line {number} print?\nlet x = \"1\";"));
            }
            let bad = number > 0 && number % EVERY == 0;
            let fault = bad.then(|| {
                let (field, value, code, names) = KINDS[(number / EVERY) % KINDS.len()];
                fields[field] = value();
                (code, names[form])
            });
            Sample { fields, fault }
        })
        .collect()
}

fn cell(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn csv_row(fields: &Value) -> String {
    let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
    let choice = |index: usize| {
        fields["choices"][index]["text"]
            .as_str()
            .unwrap_or_default()
    };
    let tags: Vec<&str> = fields["tags"]
        .as_array()
        .map(|tags| tags.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let version = fields["version"]
        .as_i64()
        .map(|version| version.to_string());
    [
        text("id"),
        cell(&text("text")),
        text("category"),
        text("difficulty"),
        cell(choice(0)),
        cell(choice(1)),
        cell(choice(2)),
        cell(choice(3)),
        text("correctChoiceId"),
        tags.join("|"),
        version.unwrap_or_default(),
    ]
    .join(",")
}

/// The file, and the line where each of its rows begins.
fn file(head: &str, rows: &[String], separator: &str, tail: &str) -> (Vec<u8>, Vec<usize>) {
    let (mut text, mut lines) = (head.to_owned(), Vec::new());
    let mut line = 1 + head.matches('\n').count();
    for (index, row) in rows.iter().enumerate() {
        lines.push(line);
        text.push_str(row);
        if index + 1 < rows.len() {
            text.push_str(separator);
        }
        line += row.matches('\n').count() + separator.matches('\n').count();
    }
    text.push_str(tail);
    (text.into_bytes(), lines)
}

async fn of_ten_thousand_csv_rows_the_good_ones_are_in_and_the_bad_ones_are_told_with_their_lines(
    backend: Backend,
) {
    let samples = samples(0);
    let rows: Vec<String> = samples.iter().map(|row| csv_row(&row.fields)).collect();
    let (file, lines) = file(&format!("{HEADER}\r\n"), &rows, "\r\n", "\r\n");
    import_twice(backend, "text/csv; charset=utf-8", file, &lines, &samples).await;
}

async fn of_ten_thousand_json_rows_the_good_ones_are_in_and_the_bad_ones_are_told_with_their_lines(
    backend: Backend,
) {
    let samples = samples(1);
    let rows: Vec<String> = samples
        .iter()
        .map(|row| serde_json::to_string_pretty(&row.fields).expect("JSON"))
        .collect();
    let (file, lines) = file("{\"questions\": [\n", &rows, ",\n", "\n]}\n");
    import_twice(backend, "application/json", file, &lines, &samples).await;
}

async fn import_twice(
    backend: Backend,
    kind: &str,
    file: Vec<u8>,
    lines: &[usize],
    samples: &[Sample],
) {
    let home = Home::new(backend).await;
    let app = home.start().await;
    let good = (ROWS - BAD) as u64;
    let expected: Vec<(u64, &str, &str)> = samples
        .iter()
        .zip(lines)
        .filter_map(|(sample, line)| {
            let (code, field) = sample.fault?;
            Some((*line as u64, code, field))
        })
        .collect();
    assert_eq!(expected.len(), BAD);

    let first = app.upload(IMPORT, kind, file.clone()).await;
    assert_eq!(counts(&first), [ROWS as u64, good, 0, 0]);
    assert_eq!(refused(&first), expected);
    let reasons = first.body["refused"].as_array().expect("rows");
    for row in reasons {
        let reason = row["reason"].as_str().unwrap_or_default();
        assert!(!reason.is_empty(), "{row}");
    }

    let second = app.upload(IMPORT, kind, file).await;
    assert_eq!(
        counts(&second),
        [ROWS as u64, 0, 0, good],
        "nothing changes"
    );
    assert_eq!(refused(&second), expected);
    home.logged(good as usize).await;
    app.stop().await;
}

/// Rows, created, updated, unchanged.
fn counts(reply: &Reply) -> [u64; 4] {
    assert_eq!(reply.status, 200, "{}", reply.text);
    ["rows", "created", "updated", "unchanged"]
        .map(|name| reply.body[name].as_u64().expect("a count"))
}

fn refused(reply: &Reply) -> Vec<(u64, &str, &str)> {
    let rows = reply.body["refused"].as_array().expect("rows");
    rows.iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            (
                row["line"].as_u64().expect("a line"),
                text("code"),
                text("field"),
            )
        })
        .collect()
}

async fn an_import_that_breaks_in_the_middle_goes_on_when_it_is_repeated(backend: Backend) {
    let home = Home::new(backend).await;
    let app = home.start().await;
    let rows: Vec<Value> = (0..2_000).map(draft).collect();
    let file = json!(rows).to_string().into_bytes();
    home.faults.die_before(5);
    let broken = app.upload(IMPORT, "application/json", file.clone()).await;
    assert_eq!(broken.problem().0, 503, "{broken:?}");
    assert!(broken.headers.contains_key("retry-after"));
    home.faults.revive();
    let repeated = app.upload(IMPORT, "application/json", file.clone()).await;
    let [rows, created, updated, unchanged] = counts(&repeated);
    assert_eq!((rows, updated, created + unchanged), (2_000, 0, 2_000));
    assert!(created > 0, "it did not come to its end before");
    let again = app.upload(IMPORT, "application/json", file).await;
    assert_eq!(counts(&again), [2_000, 0, 0, 2_000]);
    home.logged(2_000).await;
    app.stop().await;
}

async fn what_was_exported_changes_nothing_when_it_is_imported(backend: Backend) {
    let home = Home::new(backend).await;
    let app = home.start().await;
    let mut rows: Vec<Value> = (0..1_200).map(draft).collect();
    rows[7]["text"] = json!("=HYPERLINK(\"http://example.org\") is what?");
    rows[8]["choices"] = json!([
        { "id": "one", "text": "+1" }, { "id": "two", "text": "-1" },
        { "id": "3", "text": "@four" }, { "id": "4_", "text": "'=\"five\",\n\u{1F600}" },
    ]);
    rows[8]["correctChoiceId"] = json!("4_");
    rows[9]["tags"] = json!([]);
    rows[10]["difficulty"] = json!("hard");
    assert_eq!(counts(&app.post(IMPORT, &json!(rows)).await)[1], 1_200);
    for (format, kind) in [
        ("json", "application/json"),
        ("ndjson", "application/x-ndjson"),
        ("csv", "text/csv"),
    ] {
        let exported = export(&app, &format!("format={format}")).await;
        assert!(exported.headers["content-type"].starts_with(kind));
        let name = format!("attachment; filename=\"questions.{format}\"");
        assert_eq!(exported.headers["content-disposition"], name);
        if format == "csv" {
            let mut cells = Vec::new();
            for record in csv::Reader::from_reader(exported.text.as_bytes()).records() {
                let record = record.expect("a record");
                cells.extend(record.iter().map(str::to_owned));
            }
            assert_eq!(cells.len(), 1_200 * 15);
            let formula = |cell: &&String| cell.starts_with(['=', '+', '-', '@']);
            assert_eq!(cells.iter().find(formula), None);
            for formula in ["'=HYPERLINK(", "'+1", "'-1", "'@four", "''=\"five\","] {
                assert!(cells.iter().any(|cell| cell.starts_with(formula)));
            }
        }
        let back = app.upload(IMPORT, kind, exported.text.into_bytes()).await;
        assert_eq!(counts(&back), [1_200, 0, 0, 1_200], "{format}");
        assert_eq!(back.body["refused"], json!([]));
    }
    let hard = export(&app, "format=ndjson&difficulty=hard").await;
    assert_eq!(hard.text.lines().count(), 1);
    let none = export(&app, "category=rust").await;
    assert_eq!(none.body, json!({ "questions": [] }));
    let wrong = app.get(&format!("{PATH}/export?format=xml")).await;
    assert_eq!(wrong.problem(), (400, "invalid_query", "format"));
    home.logged(1_200).await;
    app.stop().await;
}

async fn export(app: &App, query: &str) -> Reply {
    let reply = app.get(&format!("{PATH}/export?{query}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

async fn an_import_into_what_is_there_keeps_to_versions_and_mode(backend: Backend) {
    let home = Home::new(backend).await;
    let (app, _bank) = (home.start().await, home.bank());
    let made = app.post(PATH, &draft(1)).await;
    let mut edited = made.body.clone();
    edited["difficulty"] = json!("hard");
    let create = app
        .post(&format!("{IMPORT}?mode=create"), &json!([edited]))
        .await;
    assert_eq!(refused(&create), [(1, "already_exists", "")]);
    assert_eq!(
        counts(&app.post(IMPORT, &json!([edited])).await),
        [1, 0, 1, 0]
    );
    assert_eq!(app.get(&made.path()).await.body["version"], json!(2));
    assert_eq!(
        counts(&app.post(IMPORT, &json!([edited])).await),
        [1, 0, 0, 1]
    );
    edited["difficulty"] = json!("medium");
    let stale = app.post(IMPORT, &json!([edited])).await;
    assert_eq!(refused(&stale), [(1, "version_conflict", "version")]);
    assert_eq!(stale.body["refused"][0]["id"], made.body["id"]);
    // A row without an id means the question that asks the same, whatever its id.
    assert_eq!(app.put(&made.path(), &draft(2)).await.status, 200);
    assert_eq!(
        counts(&app.post(IMPORT, &json!([draft(2)])).await),
        [1, 0, 0, 1]
    );
    let mut twin = draft(2);
    twin["id"] = json!("00000000-0000-4000-8000-000000000007");
    let twin = app.post(IMPORT, &json!([twin])).await;
    assert_eq!(refused(&twin), [(1, "duplicate_question", "text")]);
    // What was deleted comes back with its id, and goes on counting.
    assert_eq!(app.delete(&made.path()).await.status, 204);
    let mut back = draft(2);
    back["id"] = made.body["id"].clone();
    assert_eq!(
        counts(&app.post(IMPORT, &json!([back])).await),
        [1, 1, 0, 0]
    );
    assert_eq!(app.get(&made.path()).await.body["version"], json!(5));
    let wrong = app
        .post(&format!("{IMPORT}?mode=replace"), &json!([]))
        .await;
    assert_eq!(wrong.problem(), (400, "invalid_query", "mode"));
    app.stop().await;
}

async fn what_is_no_file_of_questions_is_refused_as_a_whole(backend: Backend) {
    let home = Home::new(backend).await;
    let app = home.start().await;
    for (kind, file, problem) in [
        ("text/plain", "[]", (415, "unsupported_media_type", "")),
        (
            "text/csv; charset=latin1",
            "text",
            (415, "unsupported_media_type", ""),
        ),
        ("application/json", "[1,", (400, "malformed_file", "")),
        ("application/json", "7", (422, "invalid_field", "questions")),
        ("text/csv", "", (422, "invalid_field", "text")),
        (
            "text/csv",
            "text,price\r\n",
            (422, "invalid_field", "price"),
        ),
    ] {
        let refused = app.upload(IMPORT, kind, file.as_bytes().to_vec()).await;
        assert_eq!(refused.problem(), problem, "{kind} {file}");
    }
    let utf_16 = vec![0xFF, 0xFE, b't', 0];
    let refused = app.upload(IMPORT, "text/csv", utf_16).await;
    assert_eq!(refused.problem(), (400, "unsupported_encoding", ""));
    let large = app
        .upload(IMPORT, "application/json", vec![b' '; FILE_MAX + 1])
        .await;
    assert_eq!(large.problem(), (413, "body_too_large", ""));
    let many = "0\n".repeat(20_001).into_bytes();
    let many = app.upload(IMPORT, "application/x-ndjson", many).await;
    assert_eq!(many.problem(), (422, "too_many_rows", "questions"));
    assert_eq!(app.get(PATH).await.body["items"], json!([]));
    app.stop().await;
}
