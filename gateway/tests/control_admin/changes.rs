//! What the admin API changes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{FLAG, Gateway};

#[tokio::test]
async fn a_flag_is_shown_changed_turned_back_and_restored() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    let flag = gateway.get(FLAG).await?;
    assert_eq!(
        flag,
        json!({
            "id": "quiz-cutover", "percent": 25.0, "salt": "quiz-cutover",
            "subject": ["header:x-user-id"], "allow": [], "deny": [], "rules": [],
            "drain": false, "killed": false, "version": 1, "phase": "split", "pending": false,
        })
    );
    let body = json!({
        "percent": 12.5, "allow": ["user-7"], "reason": "first step", "ifVersion": 1,
        "rules": [{ "header": "x-tenant", "equals": "acme" }],
    });
    let (status, changed) = gateway.patch(body).await?;
    assert_eq!(
        (status, &changed["version"], &changed["percent"]),
        (200, &json!(2), &json!(12.5))
    );
    let rule = json!([{ "header": "x-tenant", "equals": "acme", "side": "candidate" }]);
    assert_eq!(changed["rules"], rule);

    let path = format!("{FLAG}/rollback");
    let (status, back) = gateway
        .send(Method::POST, &path, json!({ "reason": "bad" }))
        .await?;
    assert_eq!(
        (status, &back["killed"], &back["phase"]),
        (200, &json!(true), &json!("killed"))
    );

    let path = format!("{FLAG}/restore");
    let body = json!({ "version": 2, "reason": "was fine" });
    let (status, restored) = gateway.send(Method::POST, &path, body).await?;
    assert_eq!(
        (status, &restored["killed"], &restored["version"]),
        (200, &json!(false), &json!(4))
    );

    let history = gateway.get(&format!("{FLAG}/history")).await?;
    let told: Vec<_> = history["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| {
            (
                it["version"].as_u64(),
                it["actor"].as_str(),
                it["reason"].as_str(),
            )
        })
        .collect();
    let expected = [
        (Some(4), Some("ann"), Some("was fine")),
        (Some(3), Some("ann"), Some("bad")),
        (Some(2), Some("ann"), Some("first step")),
        (
            Some(1),
            Some("file"),
            Some("declared in the configuration file"),
        ),
    ];
    assert_eq!(told, expected);
    assert_eq!(history["items"][1]["before"]["percent"], 12.5);
    assert_eq!(history["items"][3]["before"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn a_wrong_change_is_refused_with_the_field_and_changes_nothing() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    for (body, field) in [
        (json!({ "percent": 50 }), "reason"),
        (json!({ "percent": 50, "reason": "  " }), "reason"),
        (
            json!({ "percent": 50, "reason": "x".repeat(1001) }),
            "reason",
        ),
        (json!({ "percent": 12.345, "reason": "r" }), "percent"),
        (json!({ "percent": 101, "reason": "r" }), "percent"),
        (json!({ "percent": "50", "reason": "r" }), "percent"),
        (json!({ "precent": 50, "reason": "r" }), "precent"),
        (json!({ "salt": "other", "reason": "r" }), "salt"),
        (
            json!({ "allow": ["a"], "deny": ["a"], "reason": "r" }),
            "allow",
        ),
        (
            json!({ "rules": [{ "header": "a b", "equals": "x" }], "reason": "r" }),
            "rules[0]",
        ),
        (
            json!({ "percent": 50, "reason": "r", "ifVersion": -1 }),
            "ifVersion",
        ),
    ] {
        let (status, problem) = gateway.patch(body.clone()).await?;
        assert_eq!(
            (status, &problem["field"]),
            (422, &json!(field)),
            "{body} {problem}"
        );
        assert!(
            problem["code"].is_string() && problem["traceId"].is_string(),
            "{problem}"
        );
    }
    let (status, problem) = gateway.patch(json!({ "reason": "nothing" })).await?;
    assert_eq!(
        (status, &problem["code"]),
        (422, &json!("nothing_to_change"))
    );
    assert_eq!(gateway.get(FLAG).await?["version"], 1);
    Ok(())
}

#[tokio::test]
async fn a_stale_version_is_a_conflict_that_tells_the_current_one() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    gateway
        .patch(json!({ "percent": 30, "reason": "r" }))
        .await?;
    let body = json!({ "percent": 40, "reason": "r", "ifVersion": 1 });
    let (status, problem) = gateway.patch(body).await?;
    assert_eq!((status, &problem["code"]), (409, &json!("stale_version")));
    assert_eq!(problem["currentVersion"], 2);
    Ok(())
}

#[tokio::test]
async fn of_concurrent_changes_with_one_version_exactly_one_wins() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    let attempts = (0..16).map(|number| {
        gateway.patch(json!({ "percent": 50 + number, "reason": "race", "ifVersion": 1 }))
    });
    let answers = futures::future::try_join_all(attempts).await?;
    let won = answers.iter().filter(|(status, _)| *status == 200).count();
    let lost = answers.iter().filter(|(status, _)| *status == 409).count();
    assert_eq!((won, lost), (1, 15));
    assert_eq!(gateway.get(FLAG).await?["version"], 2);
    Ok(())
}
