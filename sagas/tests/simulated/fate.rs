//! What goes wrong in one run: how often, and whether at this moment. All that is simulated shares it.
//!
//! Each seed has a temper of its own, drawn first: some runs have no crashes and many refusals, others
//! the other way round. A run in which everything goes wrong at once never comes far.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use database::{CommitHook, Error, Result};

use super::dice::Dice;

/// How often of a thousand times something goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Temper {
    /// A process dies before a commit, or after it.
    dies: u64,
    /// A commit fails and is not there, or is there.
    commit_fails: u64,
    /// A participant refuses.
    pub(crate) refuses: u64,
    /// It does what it is asked and does not say so.
    pub(crate) silent: u64,
    /// It says so twice, or says the opposite as well.
    pub(crate) babbles: u64,
    /// Its code fails in a way that may pass, or not.
    pub(crate) fails: u64,
    /// A step of the owner's own fails.
    pub(crate) own_fails: u64,
    /// A step of the owner's own is refused.
    pub(crate) own_refuses: u64,
}

impl Temper {
    const CALM: Self = Self {
        dies: 0,
        commit_fails: 0,
        refuses: 0,
        silent: 0,
        babbles: 0,
        fails: 0,
        own_fails: 0,
        own_refuses: 0,
    };

    fn of(dice: &mut Dice) -> Self {
        let mut often = |most: u64| match dice.below(3) {
            0 => 0,
            1 => most / 5,
            _ => most,
        };
        Self {
            dies: often(25),
            commit_fails: often(50),
            refuses: often(200),
            silent: often(300),
            babbles: often(200),
            fails: often(250),
            own_fails: often(250),
            own_refuses: often(60),
        }
    }
}

#[derive(Debug)]
struct State {
    dice: Dice,
    temper: Temper,
    /// Of each process, whether it has died at a commit and nobody has noticed.
    dead: Vec<bool>,
    /// Commits since somebody asked.
    commits: u64,
}

/// Shared by all of one run.
#[derive(Clone, Debug)]
pub(crate) struct Fate(Arc<Mutex<State>>);

impl Fate {
    pub(crate) fn of(seed: u64, processes: usize) -> Self {
        let mut dice = Dice::of(seed);
        let temper = Temper::of(&mut dice);
        Self(Arc::new(Mutex::new(State {
            dice,
            temper,
            dead: vec![false; processes],
            commits: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn roll<T>(&self, roll: impl FnOnce(&mut Dice) -> T) -> T {
        roll(&mut self.state().dice)
    }

    pub(crate) fn happens(&self, what: impl FnOnce(&Temper) -> u64) -> bool {
        let mut state = self.state();
        let often = what(&state.temper);
        often > 0 && state.dice.permille(often)
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&self) {
        self.state().temper = Temper::CALM;
    }

    pub(crate) fn is_dead(&self, process: usize) -> bool {
        self.state().dead[process]
    }

    pub(crate) fn revive(&self, process: usize) {
        self.state().dead[process] = false;
    }

    /// Commits since this was asked last.
    pub(crate) fn commits(&self) -> u64 {
        std::mem::take(&mut self.state().commits)
    }

    /// What one process's databases ask at each commit.
    pub(crate) fn hook(&self, process: usize) -> Arc<dyn CommitHook> {
        Arc::new(Hook {
            fate: self.clone(),
            process,
        })
    }
}

struct Hook {
    fate: Fate,
    process: usize,
}

impl Hook {
    fn goes_wrong(&self) -> Result<()> {
        let mut state = self.fate.state();
        let Temper {
            dies, commit_fails, ..
        } = state.temper;
        if dies + commit_fails == 0 {
            return Ok(());
        }
        let rolled = state.dice.below(1_000);
        if rolled < dies {
            state.dead[self.process] = true;
        }
        if rolled < dies + commit_fails {
            return Err(lost());
        }
        Ok(())
    }
}

impl CommitHook for Hook {
    fn before(&self, _signals: &[&'static str]) -> Result<()> {
        if self.fate.is_dead(self.process) {
            return Err(lost());
        }
        self.goes_wrong()
    }

    fn after(&self, _signals: &[&'static str]) -> Result<()> {
        self.fate.state().commits += 1;
        self.goes_wrong()
    }
}

fn lost() -> Error {
    Error::Unavailable("the connection is lost".into())
}
