//! What a verb prints: a table for people, JSON for programs.

use std::io::{self, Write};

use comfy_table::{LineStyle, Table, TableStyle};
use serde_json::{Value, json};

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// One JSON document; lists as `{"items": […]}`.
    Json,
}

/// A column: its heading and the JSON pointer of its value in each item.
pub type Column = (&'static str, &'static str);

impl Format {
    /// Prints a list; `answer` has `items`.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn list(self, answer: &Value, columns: &[Column]) -> io::Result<()> {
        let empty = Vec::new();
        let items = answer["items"].as_array().unwrap_or(&empty);
        match self {
            Self::Json => print(&page(answer, items).to_string()),
            Self::Table if items.is_empty() => print("nothing"),
            Self::Table => {
                let mut table = plain_table();
                table.set_header(columns.iter().map(|(heading, _)| *heading));
                for item in items {
                    table.add_row(
                        columns
                            .iter()
                            .map(|(_, pointer)| cell(item.pointer(pointer))),
                    );
                }
                print(&table.to_string())
            }
        }
    }

    /// Prints one thing: its members a line each.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn record(self, answer: &Value) -> io::Result<()> {
        match (self, answer.as_object()) {
            (Self::Table, Some(members)) => {
                let mut table = plain_table();
                for (name, value) in members {
                    table.add_row([name.clone(), cell(Some(value))]);
                }
                print(&table.to_string())
            }
            _ => print(&answer.to_string()),
        }
    }

    /// Prints a sentence for people; programs get `answer`.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn done(self, sentence: &str, answer: &Value) -> io::Result<()> {
        match self {
            Self::Table => print(sentence),
            Self::Json => print(&answer.to_string()),
        }
    }
}

/// A list for programs, with where the next page begins where there is one.
fn page(answer: &Value, items: &[Value]) -> Value {
    match &answer["nextCursor"] {
        Value::String(cursor) => json!({ "items": items, "nextCursor": cursor }),
        _ => json!({ "items": items }),
    }
}

fn plain_table() -> Table {
    let mut table = Table::new();
    // One rule below the headings, so that rows can be cut out and counted.
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    table
}

/// `println!` panics when the reader has gone (`banyan events tail | head`); this does not.
fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(", "),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_for_programs_says_where_the_next_page_begins() {
        let answer = json!({ "items": [1], "nextCursor": "c", "other": 2 });
        let printed = page(&answer, &[json!(1)]);
        assert_eq!(printed, json!({ "items": [1], "nextCursor": "c" }));
        let last = page(&json!({ "nextCursor": null }), &[]);
        assert_eq!(last, json!({ "items": [] }));
    }

    #[test]
    fn cells_are_for_people() {
        assert_eq!(cell(Some(&json!("text"))), "text");
        assert_eq!(cell(Some(&json!(["a", "b"]))), "a, b");
        assert_eq!(cell(Some(&Value::Null)), "–");
        assert_eq!(cell(Some(&json!(1.5))), "1.5");
    }
}
