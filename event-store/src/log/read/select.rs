//! The statements behind [`ReadQuery`], one for each way into the table.
//!
//! Invariants: whatever is asked for, an index leads to it in the order of positions, so that a page
//! costs what it holds and not what the log holds; and every statement reads the epoch with the
//! events, so that an event always names the log that it really came from, and up to where rows are gone.

use database::{Sql, Value, params};

use super::{Direction, ReadQuery};

/// The same text for both databases or one for each, forward and backward.
macro_rules! select {
    (@head) => {
        "SELECT (SELECT epoch FROM log_head) AS epoch,
                (SELECT archived_to FROM log_head) AS archived_to, position, id, stream, version, type,
                aggregate_id, schema_version, payload, occurred_at, correlation_id, causation_id,
                saga_id, step, service_id, traceparent, recorded_at
         FROM "
    };
    (@columns) => {
        concat!(select!(@head), "events WHERE ")
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

/// What a page is looked for in: far more than one holds, and so little that all partitions beyond can be left
/// out. Positions have no holes, and what lies in files comes before what the table has.
const REACH: i64 = 1_000_000;

const ALL: By = {
    let both = [
        concat!(
            select!(@columns),
            "position > $1 AND position <= $3 ORDER BY position LIMIT $2"
        ),
        concat!(
            select!(@columns),
            "position < $1 ORDER BY position DESC LIMIT $2"
        ),
    ];
    By {
        postgres: both,
        sqlite: both,
    }
};

/// PostgreSQL keeps what an event is found by apart from it, in a table that no partition divides; the event
/// lies in one partition. The bound of one row keeps the planner from any other way than looking up each.
macro_rules! at_found {
    ($positions:expr, $order:literal) => {
        concat!(
            select!(@head), "(", $positions, ") AS found
             CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.position = found.at LIMIT 1) AS event
             ORDER BY ", $order
        )
    };
}
macro_rules! by_keys {
    (@$compare:literal $order:literal $condition:literal) => {
        at_found!(
            concat!(
                "SELECT k.position AS at FROM event_keys k WHERE ", $condition, " AND k.position ",
                $compare, " $1 ORDER BY k.", $order, " LIMIT $2"
            ),
            $order
        )
    };
    ($condition:literal) => {
        [
            by_keys!(@">" "position" $condition),
            by_keys!(@"<" "position DESC" $condition),
        ]
    };
}
const BY_ID: By = By {
    postgres: by_keys!("k.id = $3"),
    sqlite: select!(@both "id = $3"),
};
const BY_CORRELATION: By = By {
    postgres: by_keys!("k.correlation_id = $3"),
    sqlite: select!(@both "correlation_id = $3"),
};
/// A correlation has few events, so the rest is filtered.
const BY_CORRELATION_AND: By = By {
    postgres: by_keys!(
        "k.correlation_id = $3 AND ($4 IS NULL OR k.stream = $4)
         AND ($5 IS NULL OR split_part(k.stream, '-', 1) COLLATE \"C\" = $5)
         AND (cardinality($6) = 0 OR k.type = ANY($6))"
    ),
    sqlite: select!(@both concat!(
        "correlation_id = $3 AND ($4 IS NULL OR stream = $4) AND ($5 IS NULL OR ",
        category!(sqlite "stream"),
        " = $5) AND (json_array_length($6) = 0 OR type IN (SELECT value FROM json_each($6)))"
    )),
};

/// A column with few values and the position, in the order of an index. PostgreSQL plans for an
/// average value: it would walk through positions and find the next of a rare one at the other end of
/// the log. Bounds on both columns together have that index's order alone, and begin where they say; the
/// bound on the position alone is what leaves partitions out.
macro_rules! by_few {
    (@$compare:literal $within:literal $order:literal, $column:expr, $and:expr) => {
        concat!(
            select!(@columns), "(", $column, ", position) ", $compare, " ($3, $1) AND ", $column, " ",
            $within, " $3 AND position ", $compare, " $1", $and, " ORDER BY ", $column, $order,
            ", position", $order, " LIMIT $2"
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
    ($compare:literal, $order:literal) => {
        concat!(
            select!(@columns), "stream = $3 AND version ", $compare, " $4 AND position ", $compare, " $1
             AND (json_array_length($5) = 0 OR type IN (SELECT value FROM json_each($5)))
             ORDER BY version ", $order, " LIMIT $2"
        )
    };
}
const BY_STREAM: By = By {
    postgres: [
        by_keys!(@">" "version" "k.stream = $3 AND k.version > $4 AND (cardinality($5) = 0 OR k.type = ANY($5))"),
        by_keys!(@"<" "version DESC" "k.stream = $3 AND k.version < $4 AND (cardinality($5) = 0 OR k.type = ANY($5))"),
    ],
    sqlite: [of_stream!(">", "ASC"), of_stream!("<", "DESC")],
};

/// Several types, each already in order in the index: merged, instead of sorting all that there is
/// of them. PostgreSQL takes a page of each and then the first of these; SQLite, which has no
/// LATERAL, goes from event to event, with a look into the index for each type.
macro_rules! of_types {
    (@postgres $compare:literal, $within:literal, $order:literal, $by:literal) => {
        at_found!(
            concat!(
                "SELECT page.position AS at FROM unnest($3::TEXT[]) AS wanted (type)
                 CROSS JOIN LATERAL (
                     SELECT e.position FROM events e
                     WHERE (e.type, e.position) ", $compare, " (wanted.type, $1)
                       AND e.type ", $within, " wanted.type AND e.position ", $compare, " $1
                       AND ($4 IS NULL OR ", category!(postgres "e.stream"), " = $4)
                     ORDER BY e.type ", $order, ", e.position ", $order, " LIMIT $2) page
                 ORDER BY page.position ", $order, " LIMIT $2"
            ),
            $by
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
        of_types!(@postgres ">", "<=", "ASC", "position"),
        of_types!(@postgres "<", ">=", "DESC", "position DESC"),
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
            ([], None) => {
                if query.direction == Direction::Forward {
                    values.push(query.from.saturating_add(REACH).into());
                }
                &ALL
            }
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
mod tests;
