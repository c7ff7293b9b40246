//! The event store as the flags' journal: stream `flag-{id}` for each flag, `route-{id}` for each
//! route.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chassis::trace::TraceContext;
use contracts::{
    Event, Payload, Recorded,
    events::{FlagChanged, RouteChanged},
};
use event_store::{Append, AppendError, Log, LogOptions, ReadQuery};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{
    Change, FlagState,
    journal::{Cursor, Entry, Journal, JournalError, PAGE, Page, RouteChange},
};

/// Who owns the streams.
const SERVICE: &str = "gateway";
/// The event types that a gateway follows: what it or another replica wrote.
pub const FOLLOWED: [&str; 2] = [FlagChanged::TYPE, RouteChanged::TYPE];
/// How often the log is asked when nothing wakes the gateway.
const POLL: Duration = Duration::from_millis(500);
/// How often it is asked at most: under load the log grows thousands of times a second, nearly
/// always with events that are not ours.
const BREATH: Duration = Duration::from_millis(100);
/// How long opening may take before the gateway starts without the log.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before the log is opened again after a failure.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// The event store, opened in the background when it is not there at the start.
pub struct EventLog {
    opening: Arc<Opening>,
    _task: Option<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Opening {
    log: OnceLock<Log>,
    fault: Mutex<String>,
    tried: Notify,
}

impl EventLog {
    /// A log that this process has open already.
    #[must_use]
    pub fn of(log: Log) -> Self {
        let opening = Opening::default();
        opening.log.get_or_init(|| log);
        Self {
            opening: Arc::new(opening),
            _task: None,
        }
    }

    /// Opens the log at this URL. Returns when that was done or has failed once; then it goes on
    /// trying in the background.
    pub async fn connect(url: String) -> Self {
        let opening = Arc::new(Opening::default());
        let task = tokio::spawn(open(url, Arc::clone(&opening)));
        // Whether it was opened, shows when the log is used.
        let _ = tokio::time::timeout(OPEN_TIMEOUT, opening.tried.notified()).await;
        Self {
            opening,
            _task: Some(AbortOnDropHandle::new(task)),
        }
    }

    fn log(&self) -> Result<&Log, JournalError> {
        self.opening.log.get().ok_or_else(|| {
            let fault = self
                .opening
                .fault
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            JournalError::Unavailable(fault.clone())
        })
    }
}

impl std::fmt::Debug for EventLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_open = self.opening.log.get().is_some();
        f.debug_struct("EventLog")
            .field("is_open", &is_open)
            .finish_non_exhaustive()
    }
}

async fn open(url: String, opening: Arc<Opening>) {
    loop {
        match Log::open(&url, LogOptions::default()).await {
            Ok(log) => {
                opening.log.get_or_init(|| log);
                opening.tried.notify_one();
                return;
            }
            Err(error) => {
                let text = format!("{error} (setting `log`)");
                *opening.fault.lock().unwrap_or_else(PoisonError::into_inner) = text;
                opening.tried.notify_one();
            }
        }
        tokio::time::sleep(OPEN_AGAIN).await;
    }
}

#[async_trait]
impl Journal for EventLog {
    async fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        let event = event_of(entry).map_err(|error| JournalError::Refused(error.to_string()))?;
        match self.log()?.append(vec![Append::exact(event)]).await {
            Ok(_) => Ok(()),
            // Ahead: this gateway has seen a version that the log has lost.
            Err(AppendError::Conflict { .. } | AppendError::Ahead { .. }) => {
                Err(JournalError::Conflict)
            }
            Err(error) if error.is_transient() => Err(JournalError::Unavailable(error.to_string())),
            Err(error) => Err(JournalError::Refused(error.to_string())),
        }
    }

    async fn read(&self, after: Cursor) -> Result<Page, JournalError> {
        let log = self.log()?;
        let unavailable = |error: database::Error| JournalError::Unavailable(error.to_string());
        let head = log.head().await.map_err(unavailable)?;
        let is_start = after == Cursor::default();
        if !is_start && (after.epoch != head.epoch || after.position > head.position) {
            return Err(JournalError::AnotherLog);
        }
        let limit = u32::try_from(PAGE).unwrap_or(u32::MAX);
        let query = ReadQuery::after(after.position)
            .types(FOLLOWED)
            .limit(limit);
        let events = log.read(&query).await.map_err(unavailable)?;
        if events.iter().any(|event| event.epoch != head.epoch) {
            return Err(JournalError::AnotherLog);
        }
        let last = events.last().map_or(after.position, |event| event.position);
        let is_last = events.len() < PAGE;
        // All up to the head that was there before reading has been seen when the page is not full.
        let position = if is_last {
            last.max(head.position)
        } else {
            last
        };
        let next = Cursor {
            epoch: head.epoch,
            position,
        };
        Ok(Page {
            entries: events.iter().filter_map(entry_of).collect(),
            next,
            is_last,
        })
    }

    async fn changed(&self) {
        tokio::time::sleep(BREATH).await;
        let pause = POLL.saturating_sub(BREATH);
        match self.opening.log.get() {
            Some(log) => {
                let mut appended = log.appended();
                // A log that was closed is found out by reading it.
                let _ = tokio::time::timeout(pause, appended.changed()).await;
            }
            None => tokio::time::sleep(pause).await,
        }
    }
}

fn event_of(entry: &Entry) -> Result<Event, serde_json::Error> {
    let context = TraceContext::current_or_new();
    let (kind, id, version, payload, at) = match entry {
        Entry::Flag(id, change) => (
            FlagChanged::TYPE,
            id.as_str(),
            change.version,
            flag_payload(change)?,
            change.at,
        ),
        Entry::Route(change) => {
            let payload = serde_json::to_value(RouteChanged {
                route: change.route.to_string(),
                actor: change.actor.clone(),
                before: change.before.clone().unwrap_or_default(),
                after: change.after.clone().unwrap_or_default(),
            })?;
            let at = OffsetDateTime::now_utc();
            (
                RouteChanged::TYPE,
                change.route.as_str(),
                change.version,
                payload,
                at,
            )
        }
    };
    let family = if kind == FlagChanged::TYPE {
        "flag"
    } else {
        "route"
    };
    Ok(Event {
        id: Uuid::now_v7(),
        event_type: kind.to_owned(),
        stream: format!("{family}-{id}"),
        aggregate_id: id.to_owned(),
        version: i64::try_from(version).unwrap_or(i64::MAX),
        schema_version: 1,
        payload,
        timestamp: at,
        correlation_id: context.correlation_id(),
        causation_id: None,
        saga_id: None,
        step: None,
        service_id: SERVICE.to_owned(),
        // Only a request has a span that others may be below.
        traceparent: TraceContext::current().map(|context| context.to_string()),
    })
}

fn flag_payload(change: &Change) -> Result<Value, serde_json::Error> {
    serde_json::to_value(FlagChanged {
        flag: change.after.id.to_string(),
        version: i64::try_from(change.version).unwrap_or(i64::MAX),
        actor: change.actor.clone(),
        reason: change.reason.clone(),
        before: serde_json::to_value(&change.before)?,
        after: serde_json::to_value(&change.after)?,
        evidence: change.evidence.clone(),
    })
}

/// What cannot be read (written by a newer gateway, say) is passed over loudly: the state before
/// it holds here, and the next change that can be read is taken over.
fn entry_of(recorded: &Recorded) -> Option<Entry> {
    let entry = match recorded.event.event_type.as_str() {
        FlagChanged::TYPE => flag_entry(recorded),
        _ => route_entry(recorded),
    };
    entry
        .inspect_err(|error| {
            let position = recorded.position;
            tracing::error!(position, %error, "an entry of the log cannot be read");
        })
        .ok()
}

fn flag_entry(recorded: &Recorded) -> anyhow::Result<Entry> {
    let payload: FlagChanged = recorded.event.payload()?;
    let after: FlagState = serde_json::from_value(payload.after)?;
    let before: Option<FlagState> = serde_json::from_value(payload.before)?;
    let change = Change {
        version: u64::try_from(payload.version)?,
        at: recorded.event.timestamp,
        actor: payload.actor,
        reason: payload.reason,
        before,
        after,
        evidence: payload.evidence,
    };
    Ok(Entry::Flag(payload.flag.parse()?, Box::new(change)))
}

fn route_entry(recorded: &Recorded) -> anyhow::Result<Entry> {
    let payload: RouteChanged = recorded.event.payload()?;
    let present = |value: Value| Some(value).filter(|value| !value.is_null());
    Ok(Entry::Route(RouteChange {
        route: payload.route.parse()?,
        version: u64::try_from(recorded.event.version)?,
        actor: payload.actor,
        before: present(payload.before),
        after: present(payload.after),
    }))
}
