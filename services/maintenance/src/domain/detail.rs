//! Accounts of several portions as one.

use serde_json::{Map, Number, Value};

/// Adds the account of one more portion: numbers are added up, objects key by key; of anything
/// else the newer one counts.
pub fn add(sum: &mut Value, more: Value) {
    match (sum, more) {
        (Value::Object(sum), Value::Object(more)) => add_object(sum, more),
        (Value::Number(sum), Value::Number(more)) => *sum = plus(sum, &more),
        (sum, more) => *sum = more,
    }
}

fn add_object(sum: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match sum.get_mut(&key) {
            Some(sum) => add(sum, value),
            None => {
                sum.insert(key, value);
            }
        }
    }
}

fn plus(one: &Number, other: &Number) -> Number {
    if let (Some(one), Some(other)) = (one.as_i64(), other.as_i64()) {
        return one.saturating_add(other).into();
    }
    let sum = one.as_f64().unwrap_or_default() + other.as_f64().unwrap_or_default();
    Number::from_f64(sum).unwrap_or_else(|| 0.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_add_up_at_every_depth_and_the_rest_is_the_newest() {
        let mut sum = json!({ "removed": 200, "by": { "age": 1 }, "oldest": "a", "share": 0.5 });
        add(
            &mut sum,
            json!({ "removed": 17, "by": { "age": 2, "size": 3 }, "oldest": "b", "share": 1 }),
        );
        assert_eq!(
            sum,
            json!({ "removed": 217, "by": { "age": 3, "size": 3 }, "oldest": "b", "share": 1.5 })
        );
    }
}
