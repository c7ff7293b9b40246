//! Reads what is compared: the log through its `/ops/events`, the services through `/ops/audit`.

use anyhow::{Context as _, bail};
use contracts::{Recorded, audit::Page};
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    compare,
    report::{Report, ToldReport},
    told,
    view::{AchievementView, CandidateView, LeaderboardView, LegacyView, LogView, QuizView, TYPES},
};
use crate::{client::Client, demo::ledger::Told};

/// Events asked for at once.
const EVENTS_PAGE: usize = 500;
/// Items asked for at once: what the services allow.
const ITEMS_PAGE: usize = 1000;

/// `GET /ops/events/head`
#[derive(Clone, Copy, Debug, Deserialize)]
struct Head {
    epoch: Uuid,
    position: i64,
}

/// `GET /ops/events`
#[derive(Deserialize)]
struct Events {
    items: Vec<Recorded>,
}

/// Reads everything once and compares it.
pub(super) async fn once(
    client: &Client,
    position: Option<i64>,
    told: Option<&[Told]>,
) -> anyhow::Result<Report> {
    let head = head(client).await?;
    let position = position.unwrap_or(head.position);
    if position > head.position {
        bail!(
            "the log ends at {}; there is no position {position} yet",
            head.position
        );
    }
    let mut log = LogView::default();
    events(client, 0, position, |event| Ok(log.observe(event)?)).await?;
    let candidate = candidate(client, position).await?;
    let legacy = match told {
        Some(_) => Some(legacy(client).await?),
        None => None,
    };
    let now = self::head(client).await?;
    if now.epoch != head.epoch {
        bail!("the log was replaced by another one while it was read; run the audit again");
    }
    events(client, position, now.position, |event| {
        Ok(log.observe_later(event)?)
    })
    .await?;

    let mut comparison = compare::compare(&log, &candidate);
    let told = told.zip(legacy).map(|(told, legacy)| {
        let (counts, mut found) = told::compare(told, &log, &candidate, &legacy);
        comparison.disagreements.append(&mut found);
        ToldReport {
            counts,
            legacy_answers: legacy.answers.len(),
        }
    });
    Ok(Report {
        epoch: head.epoch,
        position,
        players: candidate.achievement.players.len(),
        counts: comparison.counts,
        undecided: comparison.undecided,
        abandoned: comparison.abandoned,
        disagreements: comparison.disagreements,
        told,
    })
}

async fn head(client: &Client) -> anyhow::Result<Head> {
    let head = client
        .ops("log", Method::GET, "/ops/events/head", None)
        .await?;
    serde_json::from_value(head).context("the log's head is not understood")
}

/// Gives every event of our types in (`after`, `upto`] to `observe`.
async fn events(
    client: &Client,
    mut after: i64,
    upto: i64,
    mut observe: impl FnMut(&Recorded) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let types = TYPES.join(",");
    while after < upto {
        let path = format!("/ops/events?after={after}&limit={EVENTS_PAGE}&types={types}");
        let page = client.ops("log", Method::GET, &path, None).await?;
        let page: Events =
            serde_json::from_value(page).context("a page of the log is not understood")?;
        for event in page.items.iter().filter(|event| event.position <= upto) {
            observe(event).with_context(|| {
                format!("event {} at position {}", event.event.id, event.position)
            })?;
        }
        let Some(last) = page.items.last() else {
            return Ok(());
        };
        if last.position <= after {
            bail!("the log's page after {after} does not go on");
        }
        after = last.position;
    }
    Ok(())
}

async fn candidate(client: &Client, position: i64) -> anyhow::Result<CandidateView> {
    let position = Some(position);
    let (quiz, achievement, leaderboard) = tokio::try_join!(
        async {
            anyhow::Ok(QuizView {
                answers: list(client, "quiz", "answers", position).await?.items,
                stats: list(client, "quiz", "stats", position).await?.items,
            })
        },
        async {
            let answers = list(client, "achievement", "answers", position).await?;
            anyhow::Ok(AchievementView {
                answers: answers.items,
                players: list(client, "achievement", "players", position)
                    .await?
                    .items,
                kept_since: answers.kept_since,
            })
        },
        async {
            let answers = list(client, "leaderboard", "answers", position).await?;
            anyhow::Ok(LeaderboardView {
                answers: answers.items,
                entries: list(client, "leaderboard", "entries", position)
                    .await?
                    .items,
                kept_since: answers.kept_since,
            })
        },
    )?;
    Ok(CandidateView {
        quiz,
        achievement,
        leaderboard,
    })
}

async fn legacy(client: &Client) -> anyhow::Result<LegacyView> {
    Ok(LegacyView {
        answers: list(client, "legacy", "answers", None).await?.items,
        stats: list(client, "legacy", "stats", None).await?.items,
        players: list(client, "legacy", "players", None).await?.items,
        entries: list(client, "legacy", "entries", None).await?.items,
    })
}

/// All pages of one list.
struct List<T> {
    items: Vec<T>,
    /// The latest that any page told: rows may have been removed while they were read.
    kept_since: Option<OffsetDateTime>,
}

/// Reads all pages of one list.
async fn list<T: DeserializeOwned>(
    client: &Client,
    service: &str,
    name: &str,
    position: Option<i64>,
) -> anyhow::Result<List<T>> {
    let (mut items, mut kept_since) = (Vec::new(), None);
    let mut after: Option<String> = None;
    loop {
        let path = path(name, position, after.as_deref())?;
        let page = client.ops(service, Method::GET, &path, None).await?;
        let mut page: Page<T> = serde_json::from_value(page)
            .with_context(|| format!("{service}'s audit list {name} is not understood"))?;
        if let (Some(wanted), Some(reached)) = (position, page.position)
            && reached < wanted
        {
            bail!("{service} has read the log up to {reached} only; wanted {wanted}");
        }
        items.append(&mut page.items);
        kept_since = kept_since.max(page.kept_since);
        if page.next_cursor.is_none() {
            return Ok(List { items, kept_since });
        }
        if page.next_cursor == after {
            bail!("{service}'s audit list {name} does not go on after {after:?}");
        }
        after = page.next_cursor;
    }
}

fn path(name: &str, position: Option<i64>, after: Option<&str>) -> anyhow::Result<String> {
    // The host is only there because a URL needs one.
    let mut url = reqwest::Url::parse(&format!("http://service/ops/audit/{name}"))?;
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("limit", &ITEMS_PAGE.to_string());
        if let Some(position) = position {
            query.append_pair("position", &position.to_string());
        }
        if let Some(after) = after {
            query.append_pair("after", after);
        }
    }
    Ok(format!(
        "{}?{}",
        url.path(),
        url.query().unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_escaped() {
        let path = path("stats", Some(7), Some("a b/c&d=e")).unwrap();
        assert_eq!(
            path,
            "/ops/audit/stats?limit=1000&position=7&after=a+b%2Fc%26d%3De"
        );
    }
}
