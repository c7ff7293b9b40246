//! The built-in question bank keeps its promises: enough of everything, no duplicates, and no hint
//! at the right answer in its place or its length.

use std::collections::{BTreeMap, BTreeSet};

use admin::domain::{Difficulty, Question};
use legacy::seed::{NAMESPACE, seed};
use uuid::Uuid;

const CATEGORIES: [&str; 5] = [
    "databases",
    "distributed-systems",
    "networking",
    "node",
    "rust",
];

fn bank() -> Vec<Question> {
    seed().expect("the built-in bank is valid")
}

fn correct_text(question: &Question) -> &str {
    let correct = question
        .choices
        .iter()
        .find(|choice| choice.id == question.correct_choice_id);
    &correct.expect("a valid question has its right choice").text
}

#[test]
fn the_bank_has_at_least_130_questions_and_25_in_each_category() {
    let bank = bank();
    assert!(bank.len() >= 130, "{}", bank.len());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for question in &bank {
        *counts.entry(&question.category).or_default() += 1;
    }
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), CATEGORIES);
    for (category, count) in counts {
        assert!(count >= 25, "{category}: {count}");
    }
}

#[test]
fn every_category_has_at_least_eight_questions_of_each_difficulty() {
    let bank = bank();
    for category in CATEGORIES {
        for difficulty in Difficulty::ALL {
            let count = bank
                .iter()
                .filter(|question| question.category == category)
                .filter(|question| question.difficulty == *difficulty)
                .count();
            assert!(count >= 8, "{category}, {difficulty}: {count}");
        }
    }
}

#[test]
fn no_question_is_there_twice_not_even_in_other_letters() {
    let bank = bank();
    let ids: BTreeSet<Uuid> = bank.iter().map(|question| question.id).collect();
    let texts: BTreeSet<String> = bank
        .iter()
        .map(|question| {
            question
                .text
                .chars()
                .filter(|letter| letter.is_alphanumeric())
                .collect()
        })
        .map(|text: String| text.to_lowercase())
        .collect();
    assert_eq!(ids.len(), bank.len());
    assert_eq!(texts.len(), bank.len());
}

#[test]
fn ids_derive_from_the_texts_and_stay_what_they_are() {
    let bank = bank();
    for question in &bank {
        assert_eq!(
            question.id,
            Uuid::new_v5(&NAMESPACE, question.text.as_bytes())
        );
    }
    let known = bank
        .iter()
        .find(|question| question.text == "Which JavaScript engine does Node.js embed?")
        .expect("the bank has this question");
    assert_eq!(known.id.to_string(), "252f823a-c7ab-58d1-86fc-1d9e042f6be9");
}

#[test]
fn the_place_of_the_right_answer_gives_nothing_away() {
    let bank = bank();
    for place in ["a", "b", "c", "d"] {
        let count = bank
            .iter()
            .filter(|question| question.correct_choice_id == place)
            .count();
        let percent = 100 * count / bank.len();
        assert!((22..=28).contains(&percent), "{place}: {percent} %");
    }
}

#[test]
fn the_length_of_the_right_answer_gives_little_away() {
    let bank = bank();
    let longest = bank
        .iter()
        .filter(|question| {
            let length = correct_text(question).chars().count();
            question
                .choices
                .iter()
                .filter(|choice| choice.id != question.correct_choice_id)
                .all(|choice| choice.text.chars().count() < length)
        })
        .count();
    assert!(
        100 * longest / bank.len() <= 40,
        "{longest} of {}",
        bank.len()
    );
}

#[test]
fn texts_are_short_enough_to_read_against_the_clock() {
    for question in bank() {
        assert!(question.text.chars().count() <= 200, "{}", question.text);
        assert!(question.text.ends_with(['?', '.']), "{}", question.text);
        for choice in &question.choices {
            assert!(choice.text.chars().count() <= 90, "{}", choice.text);
        }
    }
}

#[test]
fn every_question_has_a_few_tags_and_most_tags_have_several_questions() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for question in bank() {
        assert!((1..=3).contains(&question.tags.len()), "{}", question.text);
        for tag in question.tags {
            *counts.entry(tag).or_default() += 1;
        }
    }
    let shared = counts.values().filter(|count| **count > 1).count();
    assert!(2 * shared > counts.len(), "{counts:?}");
}
