//! The public API: the jobs, their runs, and the daily reports. All of it is the administrators'.

use axum::{
    extract::{FromRef, FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{
    Problem,
    http::{Json, Path, Query, prefer::Patience},
    identity::{Caller, Verifier},
};
use contracts::http::{
    DailyReport, MaintenanceJob, MaintenanceJobs, MaintenanceRun, MaintenanceRunPage, RunTrigger,
    StartMaintenance,
};
use database::Timestamp;
use http_body::Body as _;
use tokio::time::Instant;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    config::Job,
    domain::{self, Orders, Overlap, RunQuery},
    error::Error,
    runs::{Entry, Runs, SIGNAL, WhenBusy, Wish},
    store::{
        counts,
        runs::{self, Run},
    },
};

/// The role that all of this needs.
const ADMIN: &str = "admin";

/// Where a run is found.
const RUNS: &str = "/api/admin/maintenance/runs";

/// The longest Idempotency-Key; a UUID has 36 characters.
const KEY_MAX: usize = 255;

/// Between two looks at a run that another replica may end.
const POLL: std::time::Duration = std::time::Duration::from_millis(200);

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    /// The jobs and their runs.
    pub runs: Runs,
    /// Checks access tokens.
    pub verifier: Verifier,
}

impl FromRef<Api> for Verifier {
    fn from_ref(api: &Api) -> Self {
        api.verifier.clone()
    }
}

/// The public paths.
pub fn router(api: Api) -> OpenApiRouter {
    documented().with_state(api)
}

/// What this service documents; legacy answers the same paths.
pub fn document() -> utoipa::openapi::OpenApi {
    documented().split_for_parts().1
}

fn documented() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(start))
        .routes(routes!(history))
        .routes(routes!(show))
        .routes(routes!(report))
}

/// All jobs, when they run next, and how they ran last.
#[utoipa::path(get, path = "/api/admin/maintenance", operation_id = "maintenance_list",
    tag = "maintenance", security(("bearer" = [])),
    responses((status = 200, body = MaintenanceJobs, description = "The jobs.")))]
async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<MaintenanceJobs>, Problem> {
    caller.require_role(ADMIN)?;
    let now = api.runs.now().await?;
    let mut items = Vec::new();
    for job in api.runs.jobs().iter() {
        let last = runs::newest(api.runs.db(), job.name(), None).await?;
        items.push(shown(job, last, now));
    }
    Ok(Json(MaintenanceJobs { items }))
}

/// Starts a job, and waits for its end for a while.
#[utoipa::path(post, path = "/api/admin/maintenance/{job}", operation_id = "maintenance_start",
    tag = "maintenance", security(("bearer" = [])),
    params(("job" = String, Path, description = "The job's name."),
        ("Prefer" = Option<String>, Header, description = "`wait=N` (10 s at most) or `respond-async`."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is the same run.")),
    request_body(content = Option<StartMaintenance>),
    responses((status = 200, body = MaintenanceRun, description = "The run, which has ended."),
        (status = 202, body = MaintenanceRun, description = "The run, which goes on.",
            headers(("Location" = String, description = "Where the run is found."))),
        (status = 400, description = "The request cannot be read (`idempotency_key_invalid`)."),
        (status = 404, description = "There is no such job (`unknown_job`)."),
        (status = 409, description = "Another run is not over (`already_running`, `runId`).")))]
async fn start(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    caller.require_role(ADMIN)?;
    let job = api.runs.jobs().get(&name).ok_or(Error::UnknownJob)?;
    let told = told(request).await?;
    let orders = job.orders(told).map_err(Error::Orders)?;
    domain::check_day(&orders, api.runs.now().await?).map_err(Error::Orders)?;
    let key = key(&headers)?.map(|key| format!("{}:{key}", caller.user_id));
    let patience = Patience::of(&headers);
    let wish = Wish {
        id: Uuid::now_v7(),
        trigger: RunTrigger::Request,
        scheduled_for: None,
        orders,
        actor: Some(caller.user_id.to_string()),
        request_key: key,
        when_busy: match job.overlap {
            Overlap::Skip => WhenBusy::Refuse,
            Overlap::Queue => WhenBusy::Queue,
        },
    };
    let run = match api.runs.enter(job, &wish).await? {
        Entry::Run(run) => *run,
        Entry::Busy(id) => return Err(Error::AlreadyRunning(id).into()),
        Entry::Skipped | Entry::Known => return Err(Error::UnknownRun.into()),
    };
    // With a key, another run than the wish's is the key's.
    if run.id != wish.id && wish.request_key.is_some() && !is_same(&run, &wish.orders) {
        return Err(Error::KeyReused.into());
    }
    let run = ended(&api.runs, run, patience.wait).await?;
    let mut response = answered(run);
    if let Some(applied) = patience.applied {
        response.headers_mut().insert("preference-applied", applied);
    }
    Ok(response)
}

/// The history of a job, newest first.
#[utoipa::path(get, path = "/api/admin/maintenance/{job}/runs", operation_id = "maintenance_history",
    tag = "maintenance", security(("bearer" = [])),
    params(("job" = String, Path, description = "The job's name."), RunQuery),
    responses((status = 200, body = MaintenanceRunPage, description = "A page of runs."),
        (status = 404, description = "There is no such job (`unknown_job`).")))]
async fn history(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<RunQuery>,
) -> Result<Json<MaintenanceRunPage>, Problem> {
    caller.require_role(ADMIN)?;
    let job = api.runs.jobs().get(&name).ok_or(Error::UnknownJob)?;
    let (limit, behind) = query.place(job.name()).map_err(Error::from)?;
    let rows = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut page = runs::page(api.runs.db(), job.name(), behind, rows).await?;
    let is_more = page.len() > limit;
    page.truncate(limit);
    let last = page.last().filter(|_| is_more);
    let next_cursor = last.map(|run| domain::cursor(job.name(), (run.created_at, run.id)));
    let items = page.into_iter().map(Run::body).collect();
    Ok(Json(MaintenanceRunPage { items, next_cursor }))
}

/// One run.
#[utoipa::path(get, path = "/api/admin/maintenance/runs/{id}", operation_id = "maintenance_run_show",
    tag = "maintenance", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The run.")),
    responses((status = 200, body = MaintenanceRun, description = "The run."),
        (status = 404, description = "There is no such run (`run_not_found`).")))]
async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MaintenanceRun>, Problem> {
    caller.require_role(ADMIN)?;
    let id = Uuid::try_parse(&id).map_err(|_| Error::UnknownRun)?;
    let run = runs::find(api.runs.db(), id).await?;
    Ok(Json(run.ok_or(Error::UnknownRun)?.body()))
}

/// The report of one UTC day.
#[utoipa::path(get, path = "/api/admin/maintenance/reports/{day}",
    operation_id = "maintenance_report_show", tag = "maintenance", security(("bearer" = [])),
    params(("day" = String, Path, format = Date, description = "The day, as `2026-03-29`.")),
    responses((status = 200, body = DailyReport, description = "The report."),
        (status = 404, description = "The day has no report (`report_not_found`)."),
        (status = 422, description = "That is no day (`invalid_field`, field `day`).")))]
async fn report(
    State(api): State<Api>,
    caller: Caller,
    Path(day): Path<String>,
) -> Result<Json<DailyReport>, Problem> {
    caller.require_role(ADMIN)?;
    let day = domain::day_of(&day).ok_or(Error::BadDay)?;
    let report = counts::report(api.runs.db(), day).await?;
    Ok(Json(report.ok_or(Error::UnknownReport)?))
}

/// The body, which may be left out or null.
///
/// # Errors
/// As [`Json`].
async fn told(request: Request) -> Result<StartMaintenance, Problem> {
    if request.body().is_end_stream() {
        return Ok(StartMaintenance::default());
    }
    let Json(told) = Json::<Option<StartMaintenance>>::from_request(request, &()).await?;
    Ok(told.unwrap_or_default())
}

/// The Idempotency-Key, if there is one.
///
/// # Errors
/// [`Error::UnusableKey`].
fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().ok().map(str::trim);
    let key = key.filter(|key| (1..=KEY_MAX).contains(&key.len()));
    Ok(Some(key.ok_or(Error::UnusableKey)?.to_owned()))
}

fn is_same(run: &Run, orders: &Orders) -> bool {
    run.parameters.0 == orders.parameters && run.reason == orders.reason
}

/// The run once it is over, or as it is when the wait is.
async fn ended(runs: &Runs, mut run: Run, wait: std::time::Duration) -> Result<Run, Error> {
    let until = Instant::now() + wait;
    let mut changed = runs.db().signal(SIGNAL);
    while !run.is_over() && Instant::now() < until {
        let look = Instant::now() + POLL;
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep_until(look.min(until)) => {}
        }
        match runs::find(runs.db(), run.id).await? {
            Some(found) => run = found,
            None => return Err(Error::UnknownRun),
        }
    }
    Ok(run)
}

/// 200 with a run that is over, 202 with one that is not.
fn answered(run: Run) -> Response {
    let (id, is_over) = (run.id, run.is_over());
    let mut response = Json(run.body()).into_response();
    if !is_over {
        *response.status_mut() = StatusCode::ACCEPTED;
        if let Ok(location) = HeaderValue::try_from(format!("{RUNS}/{id}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
    }
    response
}

fn shown(job: &Job, last: Option<Run>, now: Timestamp) -> MaintenanceJob {
    let schedule = job.schedule.as_ref();
    let next = schedule.filter(|_| job.enabled);
    MaintenanceJob {
        name: job.name().to_owned(),
        description: job.definition.description.to_owned(),
        schedule: schedule.map(|schedule| schedule.text().to_owned()),
        time_zone: job.time_zone.clone(),
        enabled: job.enabled,
        next_run_at: next
            .and_then(|schedule| schedule.next(now))
            .map(|at| at.to_string()),
        last_run: last.map(Run::body),
    }
}
