use serde_json::json;

use super::*;

/// A shape with one of everything.
fn shape() -> Value {
    json!({
        "type": "object",
        "description": "An answer.",
        "required": ["answerId", "mode", "choices"],
        "properties": {
            "answerId": { "type": "string", "format": "uuid" },
            "mode": { "$ref": "#/$defs/Mode", "description": "How." },
            "name": { "type": "string", "x-personal": true, "maxLength": 40 },
            "points": { "type": "integer", "minimum": 0 },
            "error": { "type": ["string", "null"] },
            "badge": { "oneOf": [{ "type": "null" }, { "$ref": "#/$defs/Choice" }] },
            "choices": { "type": "array", "items": { "$ref": "#/$defs/Choice" } },
        },
        "$defs": {
            "Mode": { "type": "string", "enum": ["classic", "timed"] },
            "Choice": {
                "type": "object",
                "required": ["id"],
                "properties": { "id": { "type": "string", "pattern": "^[a-z]+$" } },
            },
        },
    })
}

/// The changes of an edit, with `!` before those that break.
fn after(edit: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut new = shape();
    edit(&mut new);
    let told = |change: Change| match change.weight {
        Weight::Breaking => format!("! {change}"),
        Weight::ConsumersFirst => change.to_string(),
    };
    changes(&shape(), &new).into_iter().map(told).collect()
}

fn remove(value: &mut Value, name: &str) {
    value.as_object_mut().unwrap().remove(name);
}

#[test]
fn texts_for_people_and_new_optional_fields_are_free() {
    assert_eq!(after(|_| {}), Vec::<String>::new());
    let edited = after(|new| {
        new["description"] = json!("Something else.");
        new["examples"] = json!([{}]);
        new["properties"]["later"] = json!({ "type": "string" });
        new["properties"]["answerId"]["x-personal"] = json!(true);
        new["$defs"]["Choice"]["properties"]["text"] = json!({ "type": "string" });
    });
    assert_eq!(edited, Vec::<String>::new());
}

#[test]
fn a_removed_or_renamed_field_breaks() {
    assert_eq!(
        after(|new| remove(&mut new["properties"], "points")),
        ["! /points was removed or renamed"]
    );
    let renamed = after(|new| {
        let property = new["properties"]["points"].clone();
        remove(&mut new["properties"], "points");
        new["properties"]["score"] = property;
    });
    assert_eq!(renamed, ["! /points was removed or renamed"]);
}

#[test]
fn a_field_that_becomes_required_breaks_and_one_that_may_be_missing_wants_consumers_first() {
    assert_eq!(
        after(|new| new["required"] = json!(["answerId", "mode", "choices", "points"])),
        ["! /points is required now"]
    );
    let added = after(|new| {
        new["properties"]["later"] = json!({ "type": "string" });
        new["required"] = json!(["answerId", "mode", "choices", "later"]);
    });
    assert_eq!(added, ["! /later is new and required"]);
    assert_eq!(
        after(|new| new["required"] = json!(["answerId", "mode"])),
        ["/choices may be missing now"]
    );
}

#[test]
fn another_type_breaks_and_a_wider_one_wants_consumers_first() {
    let typed =
        |name: &'static str, to: Value| after(move |new| new["properties"][name]["type"] = to);
    assert_eq!(
        typed("points", json!("string")),
        ["! /points was integer, is string"]
    );
    assert_eq!(
        typed("points", json!("number")),
        ["/points was integer, is number"]
    );
    assert_eq!(
        typed("points", json!(["integer", "null"])),
        ["/points was integer, is integer or null"]
    );
    assert_eq!(
        typed("error", json!("string")),
        ["! /error was null or string, is string"]
    );
    assert_eq!(
        after(|new| remove(&mut new["properties"]["points"], "type")),
        ["/points may be of any type now"]
    );
}

#[test]
fn a_value_that_goes_breaks_also_behind_a_reference() {
    assert_eq!(
        after(|new| new["$defs"]["Mode"]["enum"] = json!(["classic"])),
        ["! /mode no longer knows \"timed\""]
    );
    assert_eq!(
        after(|new| new["$defs"]["Mode"]["enum"] = json!(["classic", "timed", "survival"])),
        ["/mode has a new value \"survival\""]
    );
}

#[test]
fn a_narrower_bound_breaks_and_a_wider_one_wants_consumers_first() {
    assert_eq!(
        after(|new| new["properties"]["name"]["maxLength"] = json!(20)),
        ["! /name maxLength was 40, is 20"]
    );
    assert_eq!(
        after(|new| new["properties"]["name"]["maxLength"] = json!(80)),
        ["/name maxLength was 40, is 80"]
    );
    assert_eq!(
        after(|new| new["properties"]["points"]["minimum"] = json!(1)),
        ["! /points minimum was 0, is 1"]
    );
    assert_eq!(
        after(|new| new["properties"]["points"]["maximum"] = json!(9)),
        ["! /points has a new maximum"]
    );
    assert_eq!(
        after(|new| remove(&mut new["properties"]["points"], "minimum")),
        ["/points lost its minimum"]
    );
}

#[test]
fn another_format_or_pattern_breaks_within_items_too() {
    assert_eq!(
        after(|new| new["properties"]["answerId"]["format"] = json!("date")),
        ["! /answerId has another format"]
    );
    let patterned = after(|new| {
        new["$defs"]["Choice"]["properties"]["id"]["pattern"] = json!("^[a-z]{1,3}$");
    });
    assert_eq!(
        patterned,
        [
            "! /badge oneOf lost or changed an alternative",
            "! /choices/*/id has another pattern"
        ]
    );
}

#[test]
fn a_field_of_items_that_becomes_required_breaks() {
    let edited = after(|new| {
        new["$defs"]["Choice"]["properties"]["text"] = json!({ "type": "string" });
        new["$defs"]["Choice"]["required"] = json!(["id", "text"]);
        remove(&mut new["properties"]["badge"], "oneOf");
        new["properties"]["badge"]["type"] = json!("null");
    });
    assert!(
        edited.contains(&"! /choices/*/text is new and required".to_owned()),
        "{edited:?}"
    );
}

#[test]
fn a_shape_that_closes_or_an_alternative_that_goes_breaks() {
    assert_eq!(
        after(|new| new["additionalProperties"] = json!(false)),
        ["! / takes fewer further fields"]
    );
    assert_eq!(
        after(|new| new["properties"]["badge"]["oneOf"] = json!([{ "type": "null" }])),
        ["! /badge oneOf lost or changed an alternative"]
    );
}

#[test]
fn a_mark_of_a_person_stays() {
    assert_eq!(
        after(|new| remove(&mut new["properties"]["name"], "x-personal")),
        ["! /name is no longer marked as personal; stored events name people"]
    );
}

#[test]
fn a_keyword_without_a_rule_is_not_waved_through() {
    assert_eq!(
        after(|new| new["properties"]["points"]["multipleOf"] = json!(5)),
        ["! /points has another multipleOf"]
    );
}
