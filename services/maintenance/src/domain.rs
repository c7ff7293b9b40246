//! What the service decides without asking anybody: when a job is due, what its rules say, how
//! reports add up. No I/O, no clock.

mod counts;
mod detail;
mod findings;
mod history;
mod job;
mod parameters;
mod schedule;

pub use counts::{Count, report};
pub use detail::add;
pub use findings::{Finding, Limits, findings};
pub use history::{Place, QueryFault, RunQuery, cursor};
pub use job::{
    DAILY_REPORT, Definition, EXPIRED_TOKENS, GUEST_CLEANUP, HEALTH, JOBS, LOG_ARCHIVE,
    LOG_SNAPSHOT, Missed, Overlap, RETENTION, STATS_RESET, Work, definition,
};
pub use parameters::{Day, Fault, Orders, check_day, check_text, day_at, day_of, midnight, orders};
pub use schedule::{Due, Schedule, ScheduleFault};
