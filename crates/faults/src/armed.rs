//! The faults themselves.

use std::{
    cell::Cell,
    env,
    marker::PhantomData,
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{CRASH_AT, MUTATION, Moment, Mutation, Point, Write, simulated};

/// What this process was told.
struct Plan {
    crash: Option<(Point, u64)>,
    hits: AtomicU64,
    mutation: Mutex<Option<Mutation>>,
}

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan {
    crash: env::var(CRASH_AT).ok().map(|told| crash(&told)),
    hits: AtomicU64::new(0),
    mutation: Mutex::new(env::var(MUTATION).ok().map(|told| mutation(&told))),
});

thread_local! {
    static HERE: Cell<Option<Mutation>> = const { Cell::new(None) };
}

/// Held by whoever runs with or without a bug in this process.
static TURN: Mutex<()> = Mutex::new(());

/// A bug is on, or none is, for as long as this value lives; others wait for their turn.
pub struct Switched {
    _turn: MutexGuard<'static, ()>,
}

impl Switched {
    /// Switches one bug on.
    #[must_use]
    pub fn on(mutation: Mutation) -> Self {
        Self::to(Some(mutation))
    }

    /// Makes sure that none is on.
    #[must_use]
    pub fn off() -> Self {
        Self::to(None)
    }

    fn to(mutation: Option<Mutation>) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        *switch() = mutation;
        Self { _turn: turn }
    }
}

/// A bug is on in this thread for as long as this value lives: for a test whose runtime is one
/// thread, beside tests without the bug.
#[derive(Debug)]
pub struct SwitchedHere {
    _not_to_be_sent: PhantomData<*const ()>,
}

impl SwitchedHere {
    /// Switches one bug on.
    #[must_use]
    pub fn on(mutation: Mutation) -> Self {
        HERE.set(Some(mutation));
        Self {
            _not_to_be_sent: PhantomData,
        }
    }
}

impl Drop for SwitchedHere {
    fn drop(&mut self) {
        HERE.set(None);
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        *switch() = None;
    }
}

/// Stands before a durable write.
pub fn before(write: Write) {
    reach(Point {
        write,
        moment: Moment::Before,
    });
}

/// Stands after a durable write.
pub fn after(write: Write) {
    reach(Point {
        write,
        moment: Moment::After,
    });
}

/// Whether this process has the bug.
#[must_use]
pub fn is_on(mutation: Mutation) -> bool {
    HERE.get() == Some(mutation) || *switch() == Some(mutation)
}

fn reach(point: Point) {
    simulated::note(point.write);
    let Some((planned, hit)) = PLAN.crash else {
        return;
    };
    if planned == point && PLAN.hits.fetch_add(1, Ordering::Relaxed) + 1 == hit {
        eprintln!("the process dies at {point}, hit {hit}");
        std::process::abort();
    }
}

fn switch() -> MutexGuard<'static, Option<Mutation>> {
    PLAN.mutation.lock().unwrap_or_else(PoisonError::into_inner)
}

fn crash(told: &str) -> (Point, u64) {
    let (point, hit) = told.split_once(':').unwrap_or((told, "1"));
    let point = Point::parse(point);
    point
        .zip(hit.parse().ok())
        .unwrap_or_else(|| panic!("{CRASH_AT}={told} names no point"))
}

fn mutation(told: &str) -> Mutation {
    Mutation::parse(told).unwrap_or_else(|| panic!("{MUTATION}={told} names no mutation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_on_for_as_long_as_it_is_held() {
        let bug = Mutation::DedupOff;
        let held = Switched::on(bug);
        assert!(is_on(bug) && !is_on(Mutation::BarrierSkipped));
        drop(held);
        let held = Switched::off();
        assert!(!is_on(bug));
        drop(held);
    }

    #[test]
    fn a_bug_of_one_thread_is_no_other_s() {
        let bug = Mutation::LateReplyAccepted;
        let held = SwitchedHere::on(bug);
        assert!(is_on(bug));
        let elsewhere = std::thread::spawn(move || is_on(bug));
        assert!(!elsewhere.join().expect("a thread"));
        drop(held);
        assert!(!is_on(bug));
    }

    #[test]
    fn a_plan_names_a_point_and_a_hit() {
        let point = Point {
            write: Write::RelayMark,
            moment: Moment::After,
        };
        assert_eq!(crash("relay.mark.after:3"), (point, 3));
        assert_eq!(crash("relay.mark.after"), (point, 1));
    }

    #[test]
    #[should_panic(expected = "names no point")]
    fn a_plan_for_a_point_that_does_not_exist_is_said_aloud() {
        crash("relay.mark:3");
    }
}
