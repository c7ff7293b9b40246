//! Taking over the monolith's users, and what the clean-up of guests makes of them.

use std::time::Duration;

use auth::{
    duties::GuestCleanup,
    import::{Counts, FromLegacy},
    store,
};
use database::{Database, Migrations, Options, params};
use event_store::outbox;
use serde_json::{Value, json};
use service::{
    duties::{Ask, Duty},
    import::Import,
};
use testkit::Backend;
use uuid::Uuid;

testkit::both_databases!(
    a_guest_who_became_a_user_in_the_monolith_is_not_cleaned_up_here,
    whoever_has_an_address_or_a_role_is_no_idle_guest,
);

const GUEST: Uuid = Uuid::from_u128(7);
const RENAMED: Uuid = Uuid::from_u128(8);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Both {
    own: Database,
    legacy: Database,
    _homes: [Backend; 2],
}

async fn both(home: Backend) -> Both {
    let other = if home.name == "sqlite" {
        Backend::sqlite()
    } else {
        Backend::postgres().await
    };
    let own = home.open(Options::default()).await;
    own.migrate(store::migrations()).await.expect("tables");
    own.migrate(outbox::migrations()).await.expect("tables");
    let legacy = other.open(Options::default()).await;
    let monolith = Migrations::new(
        "legacy",
        sqlx::migrate!("../../migrations/legacy/postgres"),
        sqlx::migrate!("../../migrations/legacy/sqlite"),
    );
    legacy.migrate(monolith).await.expect("tables");
    Both {
        own,
        legacy,
        _homes: [home, other],
    }
}

async fn write(database: &Database, sql: &'static str, values: Vec<database::Value>) {
    database.execute(sql, values).await.expect("written");
}

/// How many guests the clean-up deletes.
async fn cleaned_up(own: &Database) -> Value {
    let ask = Ask {
        run_id: Uuid::now_v7(),
        round: 1,
        parameters: Value::Null,
    };
    let lifetime = 30 * DAY;
    let mut tx = own.begin().await.expect("a transaction");
    let portion = GuestCleanup { lifetime }.perform(&mut tx, &ask).await;
    tx.commit().await.expect("committed");
    portion.expect("performed").detail["guests"].clone()
}

async fn a_guest_who_became_a_user_in_the_monolith_is_not_cleaned_up_here(home: Backend) {
    let both = both(home).await;
    let now = both.own.now().await.expect("a time");
    let long_ago = now - 40 * DAY;
    for (id, changed) in [(GUEST, None), (RENAMED, Some(long_ago))] {
        write(
            &both.own,
            "INSERT INTO users (id, display_name, roles, created_at, updated_at,
                                legacy_updated_at, guest_seen_at, changed_here_at)
             VALUES ($1, 'Guest', $2, $3, $3, $3, $3, $4)",
            params![id, json!(["guest"]), long_ago, changed],
        )
        .await;
        write(
            &both.legacy,
            "INSERT INTO users (id, email, email_key, password_hash, display_name, roles,
                                created_at, updated_at)
             VALUES ($1, $2, $2, 'a hash', 'Ada', $3, $4, $5)",
            params![
                id,
                format!("{id}@example.org"),
                json!(["user"]),
                long_ago,
                now
            ],
        )
        .await;
    }
    let report = FromLegacy.run(&both.own, &both.legacy).await;
    let updated = report.map(|Counts { updated, .. }| updated);
    assert_eq!(updated.expect("imported"), 2);
    let rows: Vec<(String, bool, i64)> = both
        .own
        .fetch_all(
            "SELECT display_name, guest_seen_at IS NULL,
                    CAST(CASE WHEN CAST(roles AS TEXT) LIKE '%user%' THEN 1 ELSE 0 END AS BIGINT)
             FROM users ORDER BY id",
            params![],
        )
        .await
        .expect("read");
    let expected = [("Ada".to_owned(), true, 1), ("Guest".to_owned(), true, 1)];
    assert_eq!(rows, expected, "only the name that was chosen here stays");
    assert_eq!(cleaned_up(&both.own).await, json!(0));
}

async fn whoever_has_an_address_or_a_role_is_no_idle_guest(home: Backend) {
    let both = both(home).await;
    let long_ago = both.own.now().await.expect("a time") - 40 * DAY;
    let somebody = [
        (Some("ada@example.org"), json!(["guest"])),
        (None, json!(["user"])),
        (None, json!(["guest", "admin"])),
        (None, json!(["guest"])),
    ];
    for (email, roles) in somebody {
        write(
            &both.own,
            "INSERT INTO users (id, email, email_key, display_name, roles, created_at, updated_at,
                                guest_seen_at)
             VALUES ($1, $2, $2, 'Ada', $3, $4, $4, $4)",
            params![Uuid::now_v7(), email, roles, long_ago],
        )
        .await;
    }
    assert_eq!(cleaned_up(&both.own).await, json!(1), "the guest alone");
}
