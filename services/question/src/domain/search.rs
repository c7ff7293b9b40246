//! Full-text search: what counts as a word, when a question is found, and in which order.
//!
//! Words are cut here and not by the databases, so that PostgreSQL and SQLite, whose own rules
//! differ (PostgreSQL's reads `fs.readFile` as a host and drops `<script>` as a tag), find the same
//! questions in the same order. Neither is given anything but letters and digits, so no query is
//! ever a fault: what is no letter and no digit only separates words.
//!
//! The language: all words must be there, the last one as the beginning of a word. There is no
//! stemming and there are no stop words, because the questions are full of names such as `for`.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::Question;

/// Changes whenever [`words`] or [`Text`] do: what was indexed by other rules is indexed again.
pub const FORMAT: i64 = 1;

/// Characters of a word that count. PostgreSQL refuses lexemes of 2 KiB, and one letter can become
/// eighteen when it is decomposed.
const WORD_LENGTH: usize = 64;

/// The words of a text, in their order: without case, accents and punctuation.
pub fn words(text: &str) -> Vec<String> {
    // `ß` has no decomposition, and people type `ss` for it.
    let folded: String = text
        .nfkd()
        .flat_map(char::to_lowercase)
        .filter(|letter| !is_combining_mark(*letter))
        .collect::<String>()
        .replace('ß', "ss");
    folded
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(WORD_LENGTH).collect())
        .collect()
}

/// What of a question is searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it is about: its text, its tags, its category.
    pub head: Vec<String>,
    /// Its choices.
    pub body: Vec<String>,
}

impl Text {
    /// The words of a question.
    #[must_use]
    pub fn of(question: &Question) -> Self {
        let mut head = words(&question.text);
        for about in question.tags.iter().chain([&question.category]) {
            head.extend(words(about));
        }
        let choices = question.choices.iter();
        let body = choices.flat_map(|choice| words(&choice.text)).collect();
        Self { head, body }
    }
}

/// What somebody looks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Search {
    /// Whole words, each once.
    whole: Vec<String>,
    /// The beginning of a word; none only where there are no words at all.
    prefix: Option<String>,
}

/// A search in the language of one of the databases: which questions are found, and the two
/// conditions that [`Search::rank`] counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The question is found.
    pub found: String,
    /// All of it is in [`Text::head`].
    pub in_head: String,
    /// The last word is there as a whole, too.
    pub exactly: String,
}

impl Search {
    /// Reads a query. Every text is one; without a letter or a digit it finds nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut all = words(text);
        let prefix = all.pop();
        let mut whole: Vec<String> = Vec::with_capacity(all.len());
        for word in all {
            if !whole.contains(&word) {
                whole.push(word);
            }
        }
        Self { whole, prefix }
    }

    /// The same text for all queries that mean the same.
    #[must_use]
    pub fn canonical(&self) -> String {
        let all: Vec<&str> = self.all().collect();
        all.join(" ")
    }

    /// Whether the question is found.
    #[must_use]
    pub fn finds(&self, question: &Question) -> bool {
        let Text { head, body } = Text::of(question);
        self.is_in(&[&head, &body], Last::Begins)
    }

    /// How well a question that is found fits, from 0 to 3: 2 for being about it (rather than
    /// having it in a choice), 1 for the last word as it was typed. It depends on nothing but the
    /// question, so that no edit of another one moves it to another page.
    #[must_use]
    pub fn rank(&self, question: &Question) -> i64 {
        let Text { head, body } = Text::of(question);
        let in_head = self.is_in(&[&head], Last::Begins);
        let exactly = self.is_in(&[&head, &body], Last::IsWhole);
        2 * i64::from(in_head) + i64::from(exactly)
    }

    /// For `tsquery`; none when nothing is found anyway.
    #[must_use]
    pub fn postgres(&self) -> Option<Conditions> {
        self.prefix.as_ref()?;
        let quoted: Vec<String> = self.all().map(|word| format!("'{word}'")).collect();
        let exactly = quoted.join(" & ");
        let found = format!("{exactly}:*");
        Some(Conditions {
            in_head: found.clone(),
            found,
            exactly,
        })
    }

    /// For FTS5's `MATCH`; none when nothing is found anyway.
    #[must_use]
    pub fn sqlite(&self) -> Option<Conditions> {
        self.prefix.as_ref()?;
        let quoted: Vec<String> = self.all().map(|word| format!("\"{word}\"")).collect();
        let exactly = quoted.join(" AND ");
        let found = format!("{exactly}*");
        Some(Conditions {
            in_head: format!("head : ({found})"),
            found,
            exactly,
        })
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.whole.iter().chain(&self.prefix).map(String::as_str)
    }

    fn is_in(&self, places: &[&[String]], last: Last) -> bool {
        let has = |fits: &dyn Fn(&str) -> bool| {
            places
                .iter()
                .any(|words| words.iter().any(|word| fits(word)))
        };
        let Some(prefix) = &self.prefix else {
            return false;
        };
        let ends = match last {
            Last::Begins => has(&|word| word.starts_with(prefix.as_str())),
            Last::IsWhole => has(&|word| word == prefix),
        };
        ends && self.whole.iter().all(|wanted| has(&|word| word == wanted))
    }
}

/// What the last word of a query has to be.
#[derive(Clone, Copy)]
enum Last {
    Begins,
    IsWhole,
}

#[cfg(test)]
mod tests {
    use contracts::{Difficulty, events::Choice};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn question() -> Question {
        let choice = |text: &str| Choice {
            id: "a".to_owned(),
            text: text.to_owned(),
        };
        Question {
            id: Uuid::nil(),
            text: "Was heißt »Größe« in `fs.readFile(<path>)`?".to_owned(),
            category: "node".to_owned(),
            difficulty: Difficulty::Easy,
            choices: vec![choice("Naïve streams"), choice("C++ & C#")],
            correct_choice_id: "a".to_owned(),
            tags: vec!["event-loop".to_owned()],
            version: 1,
        }
    }

    #[test]
    fn words_have_no_case_no_accents_and_no_punctuation() {
        assert_eq!(
            words("Größe, NAÏVE fs.readFile"),
            ["grosse", "naive", "fs", "readfile"]
        );
        assert_eq!(words("<b>C++</b> ½ ﬁne"), ["b", "c", "b", "1", "2", "fine"]);
        assert_eq!(words(" *\"-() "), [""; 0]);
        assert_eq!(words(&"x".repeat(500))[0].len(), WORD_LENGTH);
    }

    #[test]
    fn all_words_have_to_be_there_and_the_last_one_may_be_begun() {
        for found in [
            "GROESSE".replace("OE", "ö").as_str(),
            "loop eve",
            "path node",
            "naive str",
        ] {
            assert!(Search::parse(found).finds(&question()), "{found}");
        }
        for missing in ["gross strea heisst x", "eve loop", "tree", "", "***"] {
            assert!(!Search::parse(missing).finds(&question()), "{missing}");
        }
    }

    #[test]
    fn what_a_question_is_about_counts_more_than_its_choices() {
        let rank = |query: &str| Search::parse(query).rank(&question());
        assert_eq!(rank("event"), 3);
        assert_eq!(rank("even"), 2);
        assert_eq!(rank("streams"), 1);
        assert_eq!(rank("stream"), 0);
    }

    #[test]
    fn queries_that_mean_the_same_are_the_same() {
        assert_eq!(
            Search::parse("Rust, rust TRAIT"),
            Search::parse("rust trait")
        );
        assert_eq!(Search::parse("Rust, rust TRAIT").canonical(), "rust trait");
    }

    #[test]
    fn each_database_gets_quoted_words_only() {
        let search = Search::parse("a' | !b \"NEAR(c)* -d:*");
        let postgres = search.postgres().expect("words");
        assert_eq!(postgres.found, "'a' & 'b' & 'near' & 'c' & 'd':*");
        assert_eq!(postgres.exactly, "'a' & 'b' & 'near' & 'c' & 'd'");
        let sqlite = search.sqlite().expect("words");
        assert_eq!(
            sqlite.in_head,
            r#"head : ("a" AND "b" AND "near" AND "c" AND "d"*)"#
        );
        assert_eq!(Search::parse("\"").sqlite(), None);
    }

    proptest! {
        #[test]
        fn words_of_any_text_are_letters_and_digits(text in "\\PC{0,80}") {
            for word in words(&text) {
                prop_assert!(word.chars().all(char::is_alphanumeric), "{:?}", word);
            }
        }
    }
}
