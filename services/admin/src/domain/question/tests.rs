use super::*;

fn draft() -> Draft {
    let choices = [
        ("a", "Yes"),
        ("b", "No"),
        ("c", "Sometimes"),
        ("d", "Never asked"),
    ];
    Draft {
        text: "Is this a valid question?".to_owned(),
        category: "distributed-systems".to_owned(),
        difficulty: Difficulty::Medium,
        choices: choices
            .map(|(id, text)| Choice {
                id: id.to_owned(),
                text: text.to_owned(),
            })
            .to_vec(),
        correct_choice_id: "a".to_owned(),
        tags: Vec::new(),
        version: None,
    }
}

fn faulty_fields(draft: &Draft) -> Vec<String> {
    match Question::new(Uuid::nil(), 1, draft) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| fault.field).collect(),
    }
}

#[test]
fn a_valid_draft_becomes_a_question_without_outer_white_space() {
    let mut padded = draft();
    padded.text = format!("  {}\n", padded.text);
    padded.choices[2].text = " Sometimes ".to_owned();
    let question = Question::new(Uuid::from_u128(1), 3, &padded).expect("it is valid");
    assert_eq!(
        question,
        Question::new(Uuid::from_u128(1), 3, &draft()).expect("so is this")
    );
    assert_eq!(question.choices[2].text, "Sometimes");
    assert_eq!(question.version, 3);
}

#[test]
fn there_are_exactly_four_choices() {
    let mut three = draft();
    three.choices.pop();
    assert_eq!(faulty_fields(&three), ["choices"]);
    let mut five = draft();
    five.choices.push(Choice {
        id: "e".to_owned(),
        text: "Five".to_owned(),
    });
    assert_eq!(faulty_fields(&five), ["choices"]);
}

#[test]
fn choices_differ_in_id_and_in_text_also_when_only_white_space_tells_them_apart() {
    let mut same_id = draft();
    same_id.choices[3].id = "b".to_owned();
    assert_eq!(faulty_fields(&same_id), ["choices[3].id"]);
    let mut same_text = draft();
    same_text.choices[1].text = " Yes".to_owned();
    assert_eq!(faulty_fields(&same_text), ["choices[1].text"]);
}

#[test]
fn the_right_choice_is_one_of_the_choices() {
    let unknown = Draft {
        correct_choice_id: "e".to_owned(),
        ..draft()
    };
    assert_eq!(faulty_fields(&unknown), ["correctChoiceId"]);
}

#[test]
fn lengths_are_counted_in_characters_and_both_ends_are_allowed() {
    let of = |length: usize| Draft {
        text: "ä".repeat(length),
        ..draft()
    };
    assert_eq!(faulty_fields(&of(9)), ["text"]);
    assert_eq!(faulty_fields(&of(10)), [""; 0]);
    assert_eq!(faulty_fields(&of(500)), [""; 0]);
    assert_eq!(faulty_fields(&of(501)), ["text"]);
}

#[test]
fn a_text_may_have_lines_but_no_other_control_characters() {
    let lines = Draft {
        text: "What does this print?\nlet x = 1;".to_owned(),
        ..draft()
    };
    assert_eq!(faulty_fields(&lines), [""; 0]);
    let bell = Draft {
        text: "What does this ring? \u{7}!".to_owned(),
        ..draft()
    };
    assert_eq!(faulty_fields(&bell), ["text"]);
}

#[test]
fn categories_are_plain_words_joined_by_hyphens() {
    for good in ["rust", "distributed-systems", "http2"] {
        assert_eq!(category_fault("category", good), None, "{good}");
    }
    for bad in ["", "Rust", "a b", "-rust", "rust-", "rüst", &"a".repeat(41)] {
        assert!(category_fault("category", bad).is_some(), "{bad:?}");
    }
}

#[test]
fn tags_are_words_joined_by_hyphens_each_once_and_stored_sorted() {
    let tagged = |tags: &[&str]| Draft {
        tags: tags.iter().map(ToString::to_string).collect(),
        ..draft()
    };
    let good = tagged(&["io", "event-loop", "http2"]);
    let question = Question::new(Uuid::nil(), 1, &good).expect("it is valid");
    assert_eq!(question.tags, ["event-loop", "http2", "io"]);
    for bad in ["", "Io", "a b", "-io", "io-", "a--b", "ü", &"a".repeat(31)] {
        assert_eq!(faulty_fields(&tagged(&["io", bad])), ["tags[1]"], "{bad:?}");
    }
    assert_eq!(faulty_fields(&tagged(&["io", "net", "io"])), ["tags[2]"]);
    let many: Vec<String> = (0..=TAGS).map(|index| format!("tag-{index}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(faulty_fields(&tagged(&many)), ["tags"]);
    assert_eq!(faulty_fields(&tagged(&many[1..])), [""; 0]);
}

#[test]
fn every_fault_is_told_at_once() {
    let mut broken = draft();
    broken.text = "Short?".to_owned();
    broken.category = "No Such".to_owned();
    broken.choices[0].id = "a b".to_owned();
    assert_eq!(
        faulty_fields(&broken),
        ["text", "category", "choices[0].id", "correctChoiceId"]
    );
}

#[test]
fn events_and_curators_get_the_whole_question() {
    let question = Question::new(Uuid::nil(), 2, &draft()).expect("it is valid");
    assert_eq!(question.created().correct_choice_id, "a");
    assert_eq!(question.updated().choices, question.choices);
    assert_eq!(question.curated().version, 2);
}
