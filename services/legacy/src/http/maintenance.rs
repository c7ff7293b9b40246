//! Maintenance on the monolith's own tables. It has no scheduler and no log: a job runs when an
//! administrator asks for it, and what is about the log or other services has nothing to do here.

mod work;

use std::time::Duration;

use auth::domain::role;
use axum::{
    Router,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chassis::{
    Problem,
    http::{Json, Path, Query, prefer::Patience},
    identity::Caller,
};
use contracts::http::{
    DailyReport, MaintenanceJob, MaintenanceJobs, MaintenanceRun, MaintenanceRunPage,
    StartMaintenance,
};
use database::Database;
use maintenance::{
    domain::{self, Definition, JOBS, Orders, RunQuery},
    error::Error,
};
use uuid::Uuid;

use super::App;
use crate::store::maintenance::{self as store, Run};

/// Where a run is found.
const RUNS: &str = "/api/admin/maintenance/runs";

/// The longest Idempotency-Key; a UUID has 36 characters.
const KEY_MAX: usize = 255;

/// A run that runs for longer is one of a process that died: work here is bounded far below
/// ([`work::TIME`]).
const LOST: Duration = Duration::from_secs(10 * 60);

/// How long runs are kept.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/admin/maintenance", get(list))
        .route("/api/admin/maintenance/{job}", post(start))
        .route("/api/admin/maintenance/{job}/runs", get(history))
        .route("/api/admin/maintenance/runs/{id}", get(show))
        .route("/api/admin/maintenance/reports/{day}", get(report))
}

async fn list(State(app): State<App>, caller: Caller) -> Result<Json<MaintenanceJobs>, Problem> {
    caller.require_role(role::ADMIN)?;
    store::end_lost(&app.db, LOST).await?;
    let mut items = Vec::new();
    for job in &JOBS {
        let last = store::newest(&app.db, job.name).await?;
        items.push(MaintenanceJob {
            name: job.name.to_owned(),
            description: job.description.to_owned(),
            schedule: None,
            time_zone: "UTC".to_owned(),
            enabled: true,
            next_run_at: None,
            last_run: last.map(Run::body),
        });
    }
    Ok(Json(MaintenanceJobs { items }))
}

async fn start(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    caller.require_role(role::ADMIN)?;
    let job = domain::definition(&name).ok_or(Error::UnknownJob)?;
    let orders = domain::orders(job.name, told(request).await?).map_err(Error::Orders)?;
    domain::check_day(&orders, app.db.now().await?).map_err(Error::Orders)?;
    let key = key(&headers)?.map(|key| format!("{}:{key}", caller.user_id));
    let patience = Patience::of(&headers);
    let id = match enter(&app.db, job, &caller, &orders, key.as_deref()).await? {
        Entered::Begun(id) => {
            // A client that goes away does not take the work with it.
            let work = tokio::spawn(work::run(app.db.clone(), job, id, orders));
            let waited = tokio::time::timeout(patience.wait, work).await;
            if let Ok(Err(error)) = waited {
                return Err(Problem::internal(&error));
            }
            id
        }
        Entered::Known(id) => id,
    };
    let run = store::find(&app.db, id).await?.ok_or(Error::UnknownRun)?;
    let is_over = run.is_over();
    let mut response = Json(run.body()).into_response();
    if !is_over {
        *response.status_mut() = StatusCode::ACCEPTED;
        if let Ok(location) = HeaderValue::try_from(format!("{RUNS}/{id}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
    }
    if let Some(applied) = patience.applied {
        response.headers_mut().insert("preference-applied", applied);
    }
    Ok(response)
}

/// A run that an administrator gets for a request.
enum Entered {
    /// A new one.
    Begun(Uuid),
    /// That of the same key.
    Known(Uuid),
}

async fn enter(
    db: &Database,
    job: &Definition,
    caller: &Caller,
    orders: &Orders,
    key: Option<&str>,
) -> Result<Entered, Error> {
    store::end_lost(db, LOST).await?;
    let mut tx = db.begin().await?;
    let now = tx.now().await?;
    store::prune(&mut tx, job.name, now - KEPT).await?;
    let id = Uuid::now_v7();
    let begun = store::begin(&mut tx, id, job.name, caller.user_id, orders, key).await?;
    let entered = if begun {
        Ok(Entered::Begun(id))
    } else {
        let known = match key {
            Some(key) => store::by_key(&mut tx, job.name, key).await?,
            None => None,
        };
        match known {
            Some(run) if run.is_told(orders) => Ok(Entered::Known(run.id)),
            Some(_) => Err(Error::KeyReused),
            None => match store::running(&mut tx, job.name).await? {
                Some(run) => Err(Error::AlreadyRunning(run.id)),
                // It ended between the two looks; the client may ask again.
                None => Err(Error::AlreadyRunning(id)),
            },
        }
    };
    tx.commit().await?;
    entered
}

async fn history(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<RunQuery>,
) -> Result<Json<MaintenanceRunPage>, Problem> {
    caller.require_role(role::ADMIN)?;
    let job = domain::definition(&name).ok_or(Error::UnknownJob)?;
    let (limit, behind) = query.place(job.name).map_err(Error::from)?;
    let rows = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    store::end_lost(&app.db, LOST).await?;
    let mut page = store::page(&app.db, job.name, behind, rows).await?;
    let is_more = page.len() > limit;
    page.truncate(limit);
    let last = page.last().filter(|_| is_more);
    let next_cursor = last.map(|run| domain::cursor(job.name, (run.started_at, run.id)));
    let items = page.into_iter().map(Run::body).collect();
    Ok(Json(MaintenanceRunPage { items, next_cursor }))
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MaintenanceRun>, Problem> {
    caller.require_role(role::ADMIN)?;
    let id = Uuid::try_parse(&id).map_err(|_| Error::UnknownRun)?;
    store::end_lost(&app.db, LOST).await?;
    let run = store::find(&app.db, id).await?.ok_or(Error::UnknownRun)?;
    Ok(Json(run.body()))
}

async fn report(
    State(app): State<App>,
    caller: Caller,
    Path(day): Path<String>,
) -> Result<Json<DailyReport>, Problem> {
    caller.require_role(role::ADMIN)?;
    let day = domain::day_of(&day).ok_or(Error::BadDay)?;
    let report = store::report(&app.db, day).await?;
    Ok(Json(report.ok_or(Error::UnknownReport)?))
}

/// The body, which may be left out or null.
async fn told(request: Request) -> Result<StartMaintenance, Problem> {
    if http_body::Body::is_end_stream(request.body()) {
        return Ok(StartMaintenance::default());
    }
    let Json(told) = Json::<Option<StartMaintenance>>::from_request(request, &()).await?;
    Ok(told.unwrap_or_default())
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().ok().map(str::trim);
    let key = key.filter(|key| (1..=KEY_MAX).contains(&key.len()));
    Ok(Some(key.ok_or(Error::UnusableKey)?.to_owned()))
}
