use contracts::{Difficulty, events::Choice};

use super::*;
use crate::domain::Export;

fn question(number: u128) -> Question {
    Question {
        id: Uuid::from_u128(number),
        text: format!("What is the number {number}, written\nin \"letters\", or so?"),
        category: "numbers".to_owned(),
        difficulty: Difficulty::Easy,
        choices: ["=1+1", "it's, \"two\"", "-3", "'@four"]
            .iter()
            .zip(["a", "b", "x_3", "d"])
            .map(|(text, id)| Choice {
                id: id.to_owned(),
                text: (*text).to_owned(),
            })
            .collect(),
        correct_choice_id: "x_3".to_owned(),
        tags: vec!["numbers".to_owned(), "words".to_owned()],
        version: 3,
    }
}

fn known(questions: &[Question]) -> Known {
    let mut known = Known::default();
    for question in questions {
        let content = (question.category.clone(), question.text.clone());
        known.by_content.insert(content, question.id);
        let stored = Stored {
            question: question.clone(),
            is_deleted: false,
        };
        known.by_id.insert(question.id, stored);
    }
    known
}

fn run(file: &[u8], format: Format, mode: Mode, known: &Known) -> (ImportReport, Vec<Act>) {
    let mut import =
        Import::open(Bytes::copy_from_slice(file), format, mode).expect("a readable file");
    let mut acts = Vec::new();
    while let Some(batch) = import.next_batch() {
        let decided = import.decide(&batch, known);
        acts.extend(decided.acts.clone());
        import.note(decided);
    }
    (import.finish(), acts)
}

fn file(format: Format, questions: &[Question]) -> Vec<u8> {
    let mut export = Export::new(format);
    let mut file = export.head();
    for page in questions.chunks(3) {
        file.extend(export.page(page));
    }
    file.extend(export.tail());
    file
}

#[test]
fn what_was_exported_is_unchanged_when_it_comes_back_in_every_format() {
    let questions: Vec<Question> = (1..=10).map(question).collect();
    for format in [Format::Json, Format::Lines, Format::Csv] {
        let file = file(format, &questions);
        let (report, acts) = run(&file, format, Mode::Upsert, &known(&questions));
        assert_eq!((report.rows, report.unchanged), (10, 10), "{report:?}");
        assert_eq!(acts, []);
        let (report, acts) = run(&file, format, Mode::Create, &Known::default());
        assert_eq!(
            (report.created, report.refused.len()),
            (10, 0),
            "{report:?}"
        );
        for (act, question) in acts.iter().zip(&questions) {
            assert!(act.question().says_the_same(question));
            assert_eq!(
                (act.question().id, act.question().version),
                (question.id, 1)
            );
        }
    }
}

const HEADER: &str =
    "Text,category,difficulty,choice_1,choice_2,choice_3,choice_4,correct,tags\r\n";

fn codes(report: &ImportReport) -> Vec<(u64, &str, Option<&str>)> {
    report
        .refused
        .iter()
        .map(|row| (row.line, row.code.as_str(), row.field.as_deref()))
        .collect()
}

#[test]
fn a_csv_row_is_refused_with_the_line_where_it_begins() {
    let rows = [
        "Is this one good?,rust,easy,1,2,3,4,B,x|y",
        "\"Is this one good,\nalthough it has lines?\",rust,easy,1,2,3,4,4,",
        "",
        "Too few cells?,rust,easy,1,2,3",
        "Is this brutal?,rust,brutal,1,2,3,4,a,",
        "Which is right?,rust,easy,1,2,3,4,e,",
        "Short?,Ru st,easy,1,2,3,4,a,",
        "Is this one good?,rust,hard,5,6,7,8,a,",
        "Is a choice there twice?,rust,easy,1,2,2,4,a,",
        "Are tags words here?,rust,easy,1,2,3,4,a,No|yes",
    ];
    let file = format!("\u{feff}{HEADER}{}\r\n", rows.join("\r\n"));
    let (report, acts) = run(
        file.as_bytes(),
        Format::Csv,
        Mode::Upsert,
        &Known::default(),
    );
    assert_eq!((report.rows, report.created), (9, 2));
    assert_eq!(
        codes(&report),
        [
            (6, "malformed_row", None),
            (7, "invalid_field", Some("difficulty")),
            (8, "invalid_field", Some("correct")),
            (9, "invalid_field", Some("text")),
            (10, "duplicate_row", None),
            (11, "invalid_field", Some("choiceC")),
            (12, "invalid_field", Some("tags")),
        ]
    );
    let good = acts
        .iter()
        .map(Act::question)
        .find(|question| !question.tags.is_empty())
        .expect("the first row");
    assert_eq!((good.correct_choice_id.as_str(), good.tags.len()), ("b", 2));
    assert_eq!(good.id, good.content_id());
}

#[test]
fn a_json_row_is_refused_with_the_line_where_it_begins() {
    let value = |changes: serde_json::Value| {
        let mut value = serde_json::to_value(question(1).curated()).expect("JSON");
        let object = value.as_object_mut().expect("an object");
        object.remove("id");
        object.remove("version");
        object.extend(changes.as_object().expect("an object").clone());
        value
    };
    let values = [
        value(serde_json::json!({})),
        serde_json::json!(7),
        value(serde_json::json!({ "difficulty": "brutal" })),
        value(serde_json::json!({ "more": 1 })),
        value(serde_json::json!({ "id": "seven" })),
        value(serde_json::json!({ "version": 0 })),
        value(serde_json::json!({ "text": "Short?" })),
        value(serde_json::json!({})),
    ];
    let expected = [
        ("malformed_row", None),
        ("invalid_field", Some("difficulty")),
        ("invalid_field", Some("more")),
        ("invalid_field", Some("id")),
        ("invalid_field", Some("version")),
        ("invalid_field", Some("text")),
        ("duplicate_row", None),
    ];
    let lines: Vec<String> = values.iter().map(ToString::to_string).collect();
    let array = format!("[\n\n{}\n]", lines.join(",\n\n"));
    let object = format!("{{\"questions\": {array}}}");
    for (file, format, line_of) in [
        (array, Format::Json, (3, 2)),
        (object, Format::Json, (3, 2)),
        (lines.join("\n\n"), Format::Lines, (1, 2)),
    ] {
        let (report, _) = run(file.as_bytes(), format, Mode::Upsert, &Known::default());
        assert_eq!((report.rows, report.created), (8, 1));
        let found = codes(&report);
        for (index, (code, field)) in expected.iter().enumerate() {
            let line = line_of.0 + line_of.1 * (index as u64 + 1);
            assert_eq!(found[index], (line, *code, *field), "{:?}", report.refused);
        }
    }
}

#[test]
fn a_file_that_is_none_is_refused_as_a_whole() {
    let refused = |file: &[u8], format| {
        Import::open(Bytes::copy_from_slice(file), format, Mode::Upsert).expect_err("refused")
    };
    let is_shape = |fault| matches!(fault, FileFault::Shape(_));
    assert!(matches!(
        refused(b"[1,", Format::Json),
        FileFault::Malformed(_)
    ));
    assert!(is_shape(refused(b"7", Format::Json)));
    assert!(is_shape(refused(b"{\"questions\": 7}", Format::Json)));
    assert!(is_shape(refused(
        b"{\"questions\": [], \"more\": 1}",
        Format::Json
    )));
    assert_eq!(
        refused(b"[\n\"\xff\"]", Format::Json),
        FileFault::Encoding(2)
    );
    assert_eq!(
        refused(b"\xff\xfet\0e\0", Format::Csv),
        FileFault::Encoding(1)
    );
    assert!(is_shape(refused(b"", Format::Csv)));
    assert!(is_shape(refused(b"text,category\r\n", Format::Csv)));
    assert!(is_shape(refused(
        format!("{},text", HEADER.trim()).as_bytes(),
        Format::Csv
    )));
    assert!(is_shape(refused(
        format!("{},price", HEADER.trim()).as_bytes(),
        Format::Csv
    )));
    let many = format!("[{}0]", "0,".repeat(crate::domain::ROWS_MAX));
    assert_eq!(
        refused(many.as_bytes(), Format::Json),
        FileFault::TooManyRows
    );
    let many = "0\n".repeat(crate::domain::ROWS_MAX + 1);
    assert_eq!(
        refused(many.as_bytes(), Format::Lines),
        FileFault::TooManyRows
    );
    let many = format!("{HEADER}{many}");
    assert_eq!(
        refused(many.as_bytes(), Format::Csv),
        FileFault::TooManyRows
    );
}

#[test]
fn a_row_that_is_not_utf_8_costs_itself_alone() {
    let file = [
        HEADER.as_bytes(),
        b"Is this one good?,rust,easy,1,2,3,4,B,\r\n",
        b"Is this one gr\xfcn?,rust,easy,1,2,3,4,B,\r\n",
    ]
    .concat();
    let (report, _) = run(&file, Format::Csv, Mode::Upsert, &Known::default());
    assert_eq!(report.created, 1);
    assert_eq!(codes(&report), [(3, "malformed_row", Some("text"))]);
}

#[test]
fn what_is_there_decides_what_a_row_does() {
    let there = question(1);
    let stored = known(std::slice::from_ref(&there));
    let act = |question: &Question, mode| {
        let (report, acts) = run(
            &file(Format::Lines, std::slice::from_ref(question)),
            Format::Lines,
            mode,
            &stored,
        );
        let code = report.refused.first().map(|row| row.code.clone());
        (acts.into_iter().next(), code)
    };
    let edited = Question {
        difficulty: Difficulty::Hard,
        ..there.clone()
    };
    let (done, _) = act(&edited, Mode::Upsert);
    let expected = Question {
        version: 4,
        ..edited.clone()
    };
    assert_eq!(done, Some(Act::Update(expected)));
    let refused = |code: &str| (None, Some(code.to_owned()));
    assert_eq!(act(&edited, Mode::Create), refused("already_exists"));
    let stale = Question {
        version: 2,
        ..edited
    };
    assert_eq!(act(&stale, Mode::Upsert), refused("version_conflict"));
    let twin = Question {
        id: Uuid::from_u128(2),
        ..there
    };
    assert_eq!(act(&twin, Mode::Upsert), refused("duplicate_question"));
}

#[test]
fn a_deleted_question_comes_back_with_the_next_version() {
    let mut stored = known(&[question(1)]);
    stored.by_content.clear();
    stored
        .by_id
        .values_mut()
        .for_each(|row| row.is_deleted = true);
    let file = file(Format::Lines, &[question(1)]);
    let (report, acts) = run(&file, Format::Lines, Mode::Create, &stored);
    assert_eq!(report.created, 1);
    assert_eq!(acts[0].question().version, 4);
}

#[test]
fn two_rows_that_turn_out_to_be_about_one_question_are_one_edit() {
    // The question was edited since: its id is not the one that its text derives.
    let there = question(1);
    let line = |names_id: bool, change: serde_json::Value| {
        let mut value = serde_json::to_value(there.curated()).expect("JSON");
        let fields = value.as_object_mut().expect("an object");
        fields.remove("version");
        if !names_id {
            fields.remove("id");
        }
        fields.extend(change.as_object().expect("an object").clone());
        value.to_string()
    };
    let by_text = line(false, serde_json::json!({ "difficulty": "hard" }));
    let by_id = line(true, serde_json::json!({ "text": "What is written now?" }));
    let stored = known(std::slice::from_ref(&there));
    let file = [by_text.as_str(), &by_id].join("\n");
    let (report, acts) = run(file.as_bytes(), Format::Lines, Mode::Upsert, &stored);
    assert_eq!((report.updated, acts.len()), (1, 1), "{report:?}");
    assert_eq!(codes(&report), [(2, "duplicate_row", None)]);

    // The other way round the text is free, and the second row is a question of its own.
    let file = [by_id.as_str(), &by_text].join("\n");
    let (report, acts) = run(file.as_bytes(), Format::Lines, Mode::Upsert, &stored);
    assert_eq!((report.updated, report.created), (1, 1), "{report:?}");
    let now: Vec<Question> = acts.iter().map(|act| act.question().clone()).collect();
    let (report, acts) = run(file.as_bytes(), Format::Lines, Mode::Upsert, &known(&now));
    assert_eq!((report.unchanged, acts.len()), (2, 0), "{report:?}");
}

#[test]
fn a_question_is_edited_once_whichever_batch_its_rows_are_in() {
    let there = question(1);
    let mut rows = vec![Question {
        difficulty: Difficulty::Hard,
        version: 3,
        ..there.clone()
    }];
    rows.extend((2..=1 + BATCH as u128).map(question));
    let mut file = file(Format::Lines, &rows);
    let mut last = serde_json::to_value(there.curated()).expect("JSON");
    let fields = last.as_object_mut().expect("an object");
    fields.remove("id");
    fields.remove("version");
    fields.insert("text".to_owned(), "What did it say before?".into());
    file.extend(last.to_string().into_bytes());
    // As if the question had this text when the last batch was looked up.
    let mut stored = known(std::slice::from_ref(&there));
    let text = "What did it say before?".to_owned();
    stored
        .by_content
        .insert((there.category.clone(), text), there.id);
    let (report, _) = run(&file, Format::Lines, Mode::Upsert, &stored);
    assert_eq!(
        codes(&report),
        [(BATCH as u64 + 2, "duplicate_row", None)],
        "{report:?}"
    );
}

#[test]
fn the_nil_id_is_none() {
    let file = file(Format::Lines, &[question(0)]);
    let (report, acts) = run(&file, Format::Lines, Mode::Upsert, &Known::default());
    assert_eq!(codes(&report), [(1, "invalid_field", Some("id"))]);
    assert_eq!(acts, []);
}

#[test]
fn a_lone_carriage_return_ends_a_line_too() {
    let file = format!(
        "{}\rIs this one good?,rust,easy,1,2,3,4,B,\rShort?,rust,easy,1,2,3,4,B,\r\n",
        HEADER.trim()
    );
    let (report, _) = run(
        file.as_bytes(),
        Format::Csv,
        Mode::Upsert,
        &Known::default(),
    );
    assert_eq!(report.created, 1, "{report:?}");
    assert_eq!(codes(&report), [(3, "invalid_field", Some("text"))]);
}
