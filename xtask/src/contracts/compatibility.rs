//! Whether a new shape of an event may stand under the version number of an old one.
//!
//! Two readers count. Stored events were written in the old shape and are read by new code, so
//! nothing may be demanded that they lack. Running consumers, in any language, know the old shape
//! and read new events, so nothing may go that they rely on. What only the second kind could trip
//! over (a new value of a closed set, a wider bound) is told, and calls for consumers first.

use std::{collections::BTreeSet, fmt};

use serde_json::{Map, Value};

/// A difference that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) weight: Weight,
    /// Where, as in `/payload/choices/*/id`.
    pub(crate) at: String,
    pub(crate) what: String,
}

/// What a difference asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// A new version of the schema, with an upcaster.
    Breaking,
    /// Every consumer is deployed before the first sender.
    ConsumersFirst,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.at.is_empty() { "/" } else { &self.at };
        write!(f, "{at} {}", self.what)
    }
}

/// Keywords that bound from above, and from below.
const UPPER: [&str; 4] = ["maxLength", "maxItems", "maximum", "maxProperties"];
const LOWER: [&str; 4] = ["minLength", "minItems", "minimum", "minProperties"];
/// Keywords that only say something to people, or that are compared by the names around them.
const SILENT: [&str; 9] = [
    "$schema",
    "$id",
    "$defs",
    "title",
    "description",
    "examples",
    "example",
    "default",
    "deprecated",
];
/// Keywords with a rule of their own below.
const KNOWN: [&str; 10] = [
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "oneOf",
    "anyOf",
    "allOf",
];
const PERSONAL: &str = "x-personal";

/// What has changed between two documents that matters to a reader.
pub(crate) fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut comparison = Comparison {
        old,
        new,
        changes: Vec::new(),
    };
    comparison.schema(old, new, "", 0);
    comparison.changes
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    changes: Vec<Change>,
}

/// Deeper than any payload: a shape that refers to itself ends here.
const DEPTH: usize = 16;

impl<'a> Comparison<'a> {
    fn note(&mut self, weight: Weight, at: &str, what: impl Into<String>) {
        self.changes.push(Change {
            weight,
            at: at.to_owned(),
            what: what.into(),
        });
    }

    fn breaking(&mut self, at: &str, what: impl Into<String>) {
        self.note(Weight::Breaking, at, what);
    }

    fn consumers_first(&mut self, at: &str, what: impl Into<String>) {
        self.note(Weight::ConsumersFirst, at, what);
    }

    fn schema(&mut self, old: &'a Value, new: &'a Value, at: &str, depth: usize) {
        if depth > DEPTH {
            return;
        }
        let marks = [(self.old, old), (self.new, new)].map(|(document, schema)| {
            // The mark stands beside a reference, not behind it.
            let is_marked = |schema: &Value| schema.get(PERSONAL).is_some();
            is_marked(schema) || is_marked(resolved(document, schema))
        });
        if marks == [true, false] {
            let text = "is no longer marked as personal; stored events name people";
            self.breaking(at, text);
        }
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
            if old != new {
                self.breaking(at, "is another schema");
            }
            return;
        };
        self.types(old, new, at);
        self.values(old, new, at);
        self.properties(old, new, at, depth);
        self.items(old, new, at, depth);
        self.openness(old, new, at);
        self.bounds(old, new, at);
        for keyword in ["oneOf", "anyOf", "allOf"] {
            self.alternatives(keyword, old, new, at, depth);
        }
        self.others(old, new, at);
    }

    fn types(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        let names = |schema: &Map<String, Value>| -> Option<BTreeSet<String>> {
            let of = |value: &Value| value.as_str().map(ToOwned::to_owned);
            match schema.get("type")? {
                Value::Array(names) => Some(names.iter().filter_map(of).collect()),
                name => Some(of(name).into_iter().collect()),
            }
        };
        match (names(old), names(new)) {
            (None, None) => {}
            (None, Some(_)) => self.breaking(at, "has a type now"),
            (Some(_), None) => self.consumers_first(at, "may be of any type now"),
            (Some(old), Some(new)) => {
                // Every integer is a number.
                let holds = |name: &String| {
                    new.contains(name) || name == "integer" && new.contains("number")
                };
                if old.iter().all(holds) {
                    if old != new {
                        let text = format!("was {}, is {}", list(&old), list(&new));
                        self.consumers_first(at, text);
                    }
                } else {
                    self.breaking(at, format!("was {}, is {}", list(&old), list(&new)));
                }
            }
        }
    }

    /// `enum` and `const`: the closed sets.
    fn values(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        let of = |schema: &Map<String, Value>| -> Option<BTreeSet<String>> {
            let constant = schema.get("const").map(|value| vec![value.clone()]);
            let listed = schema.get("enum").and_then(Value::as_array).cloned();
            let values = constant.or(listed)?;
            Some(values.iter().map(Value::to_string).collect())
        };
        match (of(old), of(new)) {
            (None, None) => {}
            (None, Some(_)) => self.breaking(at, "is a closed set now"),
            (Some(_), None) => self.consumers_first(at, "is no closed set any more"),
            (Some(old), Some(new)) => {
                for gone in old.difference(&new) {
                    self.breaking(at, format!("no longer knows {gone}"));
                }
                for added in new.difference(&old) {
                    self.consumers_first(at, format!("has a new value {added}"));
                }
            }
        }
    }

    fn properties(
        &mut self,
        old: &'a Map<String, Value>,
        new: &'a Map<String, Value>,
        at: &str,
        depth: usize,
    ) {
        let of =
            |schema: &'a Map<String, Value>| schema.get("properties").and_then(Value::as_object);
        let (before, after) = (of(old), of(new));
        let (was, is) = (required(old), required(new));
        for (name, property) in before.into_iter().flatten() {
            let at = format!("{at}/{name}");
            match after.and_then(|all| all.get(name)) {
                None => self.breaking(&at, "was removed or renamed"),
                Some(now) => self.schema(property, now, &at, depth + 1),
            }
        }
        for name in is.difference(&was) {
            let is_new = before.is_none_or(|all| !all.contains_key(*name));
            let what = if is_new {
                "is new and required"
            } else {
                "is required now"
            };
            self.breaking(&format!("{at}/{name}"), what);
        }
        for name in was.difference(&is) {
            if after.is_some_and(|all| all.contains_key(*name)) {
                self.consumers_first(&format!("{at}/{name}"), "may be missing now");
            }
        }
    }

    fn items(
        &mut self,
        old: &'a Map<String, Value>,
        new: &'a Map<String, Value>,
        at: &str,
        depth: usize,
    ) {
        match (old.get("items"), new.get("items")) {
            (None, None) => {}
            (None, Some(_)) => self.breaking(at, "says now what its items are"),
            (Some(_), None) => self.consumers_first(at, "may have any items now"),
            (Some(old), Some(new)) => self.schema(old, new, &format!("{at}/*"), depth + 1),
        }
    }

    /// Shapes are open; one that is closed refuses what other versions send.
    fn openness(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        let open = Value::Bool(true);
        let of = |schema: &Map<String, Value>| {
            schema.get("additionalProperties").unwrap_or(&open).clone()
        };
        let (old, new) = (of(old), of(new));
        if old == new {
        } else if new == open {
            self.consumers_first(at, "may have any further fields now");
        } else {
            self.breaking(at, "takes fewer further fields");
        }
    }

    fn bounds(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        let number =
            |schema: &Map<String, Value>, name: &str| schema.get(name).and_then(Value::as_f64);
        for (keywords, sign) in [(UPPER, 1.0), (LOWER, -1.0)] {
            for name in keywords {
                match (number(old, name), number(new, name)) {
                    (None, Some(_)) => self.breaking(at, format!("has a new {name}")),
                    (Some(_), None) => self.consumers_first(at, format!("lost its {name}")),
                    (Some(old), Some(new)) if sign * new < sign * old => {
                        self.breaking(at, format!("{name} was {old}, is {new}"));
                    }
                    (Some(old), Some(new)) if sign * new > sign * old => {
                        self.consumers_first(at, format!("{name} was {old}, is {new}"));
                    }
                    _ => {}
                }
            }
        }
    }

    fn alternatives(
        &mut self,
        keyword: &str,
        old: &'a Map<String, Value>,
        new: &'a Map<String, Value>,
        at: &str,
        depth: usize,
    ) {
        let of = |schema: &'a Map<String, Value>| {
            schema
                .get(keyword)
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice)
        };
        let (before, after) = (of(old), of(new));
        if keyword == "allOf" {
            if before.len() != after.len() {
                self.breaking(at, "is put together in another way");
            }
            for (old, new) in before.iter().zip(after) {
                self.schema(old, new, at, depth + 1);
            }
            return;
        }
        let kept = |alternative: &'a Value| {
            after.iter().any(|other| {
                let mut comparison = Comparison {
                    old: self.old,
                    new: self.new,
                    changes: Vec::new(),
                };
                comparison.schema(alternative, other, at, depth + 1);
                comparison.changes.is_empty()
            })
        };
        let all_kept = before.iter().all(kept);
        if !all_kept || before.is_empty() && !after.is_empty() {
            self.breaking(at, format!("{keyword} lost or changed an alternative"));
        } else if after.len() != before.len() {
            self.consumers_first(at, format!("{keyword} has other alternatives"));
        }
    }

    /// What has no rule of its own: a new or another value narrows, for all that is known here.
    fn others(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        let is_other = |name: &str| {
            name != PERSONAL
                && !SILENT.contains(&name)
                && !KNOWN.contains(&name)
                && !UPPER.contains(&name)
                && !LOWER.contains(&name)
        };
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for name in names.into_iter().filter(|name| is_other(name)) {
            match (old.get(name), new.get(name)) {
                (Some(_), None) => self.consumers_first(at, format!("lost its {name}")),
                (Some(old), Some(new)) if old == new => {}
                _ => self.breaking(at, format!("has another {name}")),
            }
        }
    }
}

/// Follows references within the document.
fn resolved<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..DEPTH {
        let target = schema.get("$ref").and_then(Value::as_str);
        let Some(found) = target.and_then(|target| document.pointer(target.strip_prefix('#')?))
        else {
            break;
        };
        schema = found;
    }
    schema
}

fn required(schema: &Map<String, Value>) -> BTreeSet<&str> {
    let names = schema.get("required").and_then(Value::as_array);
    names
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests;
