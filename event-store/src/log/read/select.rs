//! The statements behind [`ReadQuery`], one for each way into the table.
//!
//! Invariants: whatever is asked for, an index leads to it in the order of positions, so that a page
//! costs what it holds and not what the log holds; and every statement reads the epoch with the
//! events, so that an event always names the log that it really came from, and up to where rows are gone.

use database::{Sql, Value, params};

use super::{Direction, ReadQuery};

/// The same text for both databases or one for each, forward and backward.
macro_rules! select {
    (@columns) => {
        "SELECT (SELECT epoch FROM log_head) AS epoch,
                (SELECT archived_to FROM log_head) AS archived_to, position, id, stream, version, type,
                aggregate_id, schema_version, payload, occurred_at, correlation_id, causation_id,
                saga_id, step, service_id, traceparent, recorded_at
         FROM events WHERE "
    };
    (@both $condition:expr) => {
        [
            concat!(select!(@columns), $condition, " AND position > $1 ORDER BY position LIMIT $2"),
            concat!(select!(@columns), $condition, " AND position < $1 ORDER BY position DESC LIMIT $2"),
        ]
    };
    ($condition:literal) => {
        By { postgres: select!(@both $condition), sqlite: select!(@both $condition) }
    };
    ($postgres:expr, $sqlite:expr) => {
        By { postgres: select!(@both $postgres), sqlite: select!(@both $sqlite) }
    };
}

/// The category of the stream in the named column, as the index spells it.
macro_rules! category {
    (postgres $stream:literal) => {
        concat!("split_part(", $stream, ", '-', 1) COLLATE \"C\"")
    };
    (sqlite $stream:literal) => {
        concat!(
            "substr(",
            $stream,
            ", 1, instr(",
            $stream,
            " || '-', '-') - 1)"
        )
    };
}

struct By {
    postgres: [&'static str; 2],
    sqlite: [&'static str; 2],
}

impl By {
    const fn turned(&self, direction: Direction) -> Sql {
        let turn = direction as usize;
        Sql::by_dialect(self.postgres[turn], self.sqlite[turn])
    }
}

const ALL: By = select!("TRUE");
const BY_ID: By = select!("id = $3");
const BY_CORRELATION: By = select!("correlation_id = $3");
/// A correlation has few events, so the rest is filtered.
const BY_CORRELATION_AND: By = select!(
    concat!(
        "correlation_id = $3 AND ($4 IS NULL OR stream = $4) AND ($5 IS NULL OR ",
        category!(postgres "stream"),
        " = $5) AND (cardinality($6) = 0 OR type = ANY($6))"
    ),
    concat!(
        "correlation_id = $3 AND ($4 IS NULL OR stream = $4) AND ($5 IS NULL OR ",
        category!(sqlite "stream"),
        " = $5) AND (json_array_length($6) = 0 OR type IN (SELECT value FROM json_each($6)))"
    )
);

/// A column with few values and the position, in the order of an index. PostgreSQL plans for an
/// average value: it would walk through positions and find the next of a rare one at the other end of
/// the log. Bounds on both columns together have that index's order alone, and begin where they say.
macro_rules! by_few {
    (@$compare:literal $within:literal $order:literal, $column:expr, $and:expr) => {
        concat!(
            select!(@columns), "(", $column, ", position) ", $compare, " ($3, $1) AND ", $column, " ",
            $within, " $3", $and, " ORDER BY ", $column, $order, ", position", $order, " LIMIT $2"
        )
    };
    ($column:expr, $and:expr) => {
        [
            by_few!(@">" "<=" "", $column, $and),
            by_few!(@"<" ">=" " DESC", $column, $and),
        ]
    };
}
const BY_CATEGORY: By = By {
    postgres: by_few!(category!(postgres "stream"), ""),
    sqlite: select!(@both concat!(category!(sqlite "stream"), " = $3")),
};
const BY_TYPE: By = By {
    postgres: by_few!("type", ""),
    sqlite: select!(@both "type = $3"),
};
const BY_TYPE_AND_CATEGORY: By = By {
    postgres: by_few!(
        "type",
        concat!(" AND ", category!(postgres "stream"), " = $4")
    ),
    // The plus keeps SQLite, which knows no value's frequency either, from going by the category.
    sqlite: select!(@both concat!("type = $3 AND +", category!(sqlite "stream"), " = $4")),
};

/// In a stream the order of versions is that of positions, and has the index.
macro_rules! of_stream {
    ($types:literal) => {
        [
            concat!(
                select!(@columns), "stream = $3 AND version > $4 AND position > $1 AND ", $types,
                " ORDER BY version LIMIT $2"
            ),
            concat!(
                select!(@columns), "stream = $3 AND version < $4 AND position < $1 AND ", $types,
                " ORDER BY version DESC LIMIT $2"
            ),
        ]
    };
}
const BY_STREAM: By = By {
    postgres: of_stream!("(cardinality($5) = 0 OR type = ANY($5))"),
    sqlite: of_stream!("(json_array_length($5) = 0 OR type IN (SELECT value FROM json_each($5)))"),
};

/// Several types, each already in order in the index: merged, instead of sorting all that there is
/// of them. PostgreSQL takes a page of each and then the first of these; SQLite, which has no
/// LATERAL, goes from event to event, with a look into the index for each type.
macro_rules! of_types {
    (@postgres $compare:literal, $within:literal, $order:literal) => {
        concat!(
            select!(@columns),
            "position = ANY (ARRAY(
                 SELECT page.position FROM unnest($3::TEXT[]) AS wanted (type)
                 CROSS JOIN LATERAL (
                     SELECT e.position FROM events e
                     WHERE (e.type, e.position) ", $compare, " (wanted.type, $1)
                       AND e.type ", $within, " wanted.type
                       AND ($4 IS NULL OR ", category!(postgres "e.stream"), " = $4)
                     ORDER BY e.type ", $order, ", e.position ", $order, " LIMIT $2) page
                 ORDER BY page.position ", $order, " LIMIT $2))
             ORDER BY position ", $order
        )
    };
    (@next $compare:literal, $order:literal, $after:literal, $first:literal) => {
        concat!(
            "(SELECT ", $first, "(next) FROM (SELECT (
                 SELECT e.position FROM events e
                 WHERE e.type = wanted.value AND e.position ", $compare, " ", $after, "
                   AND ($4 IS NULL OR ", category!(sqlite "e.stream"), " = $4)
                 ORDER BY e.position ", $order, " LIMIT 1) AS next
              FROM json_each($3) AS wanted))"
        )
    };
    (@sqlite $compare:literal, $order:literal, $first:literal) => {
        concat!(
            select!(@columns),
            "position IN (
                 WITH RECURSIVE found (position) AS (
                     SELECT ", of_types!(@next $compare, $order, "$1", $first), "
                     UNION ALL
                     SELECT ", of_types!(@next $compare, $order, "found.position", $first), "
                     FROM found WHERE found.position IS NOT NULL
                     LIMIT $2)
                 SELECT position FROM found WHERE position IS NOT NULL)
             ORDER BY position ", $order
        )
    };
}
const BY_TYPES: By = By {
    postgres: [
        of_types!(@postgres ">", "<=", "ASC"),
        of_types!(@postgres "<", ">=", "DESC"),
    ],
    sqlite: [
        of_types!(@sqlite ">", "ASC", "min"),
        of_types!(@sqlite "<", "DESC", "max"),
    ],
};

/// The statement for the query, and its values.
pub(super) fn statement(query: &ReadQuery) -> (Sql, Vec<Value>) {
    let (by, values) = way(query);
    (by.turned(query.direction), values)
}

/// By the narrowest of what the query asks for.
fn way(query: &ReadQuery) -> (&'static By, Vec<Value>) {
    let mut values = params![query.from, query.limit];
    let category = query.category.as_deref();
    let by = if let Some(id) = query.id {
        values.push(id.into());
        &BY_ID
    } else if let Some(correlation) = query.correlation {
        values.push(correlation.into());
        if query.stream.is_none() && category.is_none() && query.types.is_empty() {
            &BY_CORRELATION
        } else {
            values.extend(params![query.stream.clone(), category.map(str::to_owned)]);
            values.push(Value::Texts(query.types.clone()));
            &BY_CORRELATION_AND
        }
    } else if let Some(stream) = &query.stream {
        values.extend(params![stream, query.version]);
        values.push(Value::Texts(query.types.clone()));
        &BY_STREAM
    } else {
        match (query.types.as_slice(), category) {
            ([], None) => &ALL,
            ([], Some(category)) => {
                values.push(category.into());
                &BY_CATEGORY
            }
            ([only], None) => {
                values.push(only.into());
                &BY_TYPE
            }
            ([only], Some(category)) => {
                values.extend(params![only, category]);
                &BY_TYPE_AND_CATEGORY
            }
            (several, category) => {
                values.push(Value::Texts(several.to_vec()));
                values.push(category.map(str::to_owned).into());
                &BY_TYPES
            }
        }
    };
    (by, values)
}

#[cfg(test)]
mod tests {
    use database::{Dialect, params};
    use uuid::Uuid;

    use super::*;
    use crate::{Log, LogOptions};

    /// 30,000 events: of each type and category some thousands, of one of each only the last.
    const FILL: Sql = Sql::by_dialect(
        "INSERT INTO events SELECT n, gen_random_uuid(),
                CASE WHEN n = 30000 THEN 'rare-1' ELSE 'c' || n % 5 || '-' || n % 1000 END, n,
                CASE WHEN n = 30000 THEN 'rare' ELSE 't' || n % 7 END, 'a', 1, '{}', now(),
                gen_random_uuid(), NULL, NULL, NULL, 'test', NULL
         FROM generate_series(1, 30000) AS n",
        "WITH RECURSIVE numbers (n) AS
             (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 30000)
         INSERT INTO events SELECT n, randomblob(16),
                CASE WHEN n = 30000 THEN 'rare-1' ELSE 'c' || n % 5 || '-' || n % 1000 END, n,
                CASE WHEN n = 30000 THEN 'rare' ELSE 't' || n % 7 END, 'a', 1, '{}', 0,
                randomblob(16), NULL, NULL, NULL, 'test', NULL, NULL
         FROM numbers",
    );

    /// Each way into the table, with what names its index in PostgreSQL's plan and in SQLite's.
    fn asked(forward: bool) -> Vec<(ReadQuery, [&'static str; 2])> {
        let query = if forward {
            ReadQuery::after(0)
        } else {
            ReadQuery::newest()
        };
        let of = |narrow: fn(ReadQuery) -> ReadQuery| narrow(query.clone());
        let by_stream = ["events_stream_version_unique", "(stream=?"];
        let (by_category, by_type) = (["events_by_category"; 2], ["events_by_type"; 2]);
        let by_correlation = ["events_by_correlation"; 2];
        vec![
            (of(|q| q.id(Uuid::nil())), ["events_id_unique", "(id=?"]),
            (of(|q| q.stream("rare-1")), by_stream),
            (of(|q| q.stream("rare-1").types(["t1", "rare"])), by_stream),
            (of(|q| q.category("rare")), by_category),
            (of(|q| q.types(["rare"])), by_type),
            (of(|q| q.types(["rare"]).category("c1")), by_type),
            (of(|q| q.types(["rare", "none"])), by_type),
            (of(|q| q.types(["rare", "none"]).category("c1")), by_type),
            (of(|q| q.correlation(Uuid::nil())), by_correlation),
            (
                of(|q| q.correlation(Uuid::nil()).category("c1")),
                by_correlation,
            ),
        ]
    }

    /// A value's type in PostgreSQL, and how it is written there.
    fn literal(value: &Value) -> (&'static str, String) {
        let quoted = |text: &dyn std::fmt::Display| format!("'{text}'");
        match value {
            Value::Integer(Some(number)) => ("BIGINT", number.to_string()),
            Value::Text(Some(text)) => ("TEXT", quoted(text)),
            Value::Text(None) => ("TEXT", "NULL".to_owned()),
            Value::Uuid(Some(id)) => ("UUID", quoted(id)),
            Value::Texts(texts) => ("TEXT[]", format!("'{{{}}}'", texts.join(","))),
            other => panic!("{other:?} is in no query"),
        }
    }

    /// The plan for any values on SQLite, and on PostgreSQL, which would make one for these.
    async fn plan(log: &Log, query: &ReadQuery) -> String {
        let (by, values) = way(query);
        let turn = query.direction as usize;
        let leaked = |text: String| &*Box::leak(text.into_boxed_str());
        let rows: Vec<String> = match log.dialect() {
            Dialect::Postgres => {
                let mut tx = log.database().begin().await.unwrap();
                let (types, literals): (Vec<_>, Vec<_>) = values.iter().map(literal).unzip();
                let explain = format!("EXPLAIN EXECUTE way ({})", literals.join(", "));
                for sql in [
                    "SET LOCAL plan_cache_mode = force_generic_plan".to_owned(),
                    format!(
                        "PREPARE way ({}) AS {}",
                        types.join(", "),
                        by.postgres[turn]
                    ),
                ] {
                    tx.execute(leaked(sql), params![]).await.unwrap();
                }
                let rows: Vec<(String,)> = tx.fetch_all(leaked(explain), params![]).await.unwrap();
                tx.execute("DEALLOCATE way", params![]).await.unwrap();
                rows.into_iter().map(|(line,)| line).collect()
            }
            Dialect::Sqlite => {
                let sql = format!("EXPLAIN QUERY PLAN {}", by.sqlite[turn]);
                let rows: Vec<(i64, i64, i64, String)> =
                    log.database().fetch_all(leaked(sql), values).await.unwrap();
                rows.into_iter().map(|(.., line)| line).collect()
            }
        };
        rows.join("\n")
    }

    #[tokio::test]
    async fn each_way_into_a_log_that_has_grown_has_its_index_and_sorts_nothing() {
        for backend in testkit::backends().await {
            let log = Log::open(&backend.url, LogOptions::default())
                .await
                .unwrap();
            log.database().execute(FILL, params![]).await.unwrap();
            log.database().execute("ANALYZE", params![]).await.unwrap();
            for forward in [true, false] {
                for (query, indexes) in asked(forward) {
                    let index = indexes[usize::from(log.dialect() == Dialect::Sqlite)];
                    let plan = plan(&log, &query).await;
                    let shown = format!("{} {query:?}:\n{plan}", backend.name);
                    assert!(plan.contains(index), "{shown}");
                    let scans = ["Seq Scan on events", "SCAN events"];
                    assert!(!scans.iter().any(|scan| plan.contains(scan)), "{shown}");
                }
            }
        }
    }
}
