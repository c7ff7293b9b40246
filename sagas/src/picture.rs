//! A definition as a picture, with the path that one saga took: for people who decide about it.
//!
//! Invariants: what a picture says by colour it says in words, too; every text of a definition or a
//! saga is escaped, so that no error or reason can change what is drawn.

mod mermaid;
mod svg;

use crate::{
    definition::Action,
    outline::{Outline, StepOutline},
    state::{Phase, Progress, State, StepState, Undoing},
};

/// A picture of a definition, or of one saga's way through it.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    outline: &'a Outline,
    state: Option<&'a State>,
}

/// How far a step is, as a picture shows it: its undo says more than its action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Waiting,
    Started,
    Done,
    Refused,
    Unknown,
    Undoing,
    Undone,
    Stuck,
}

/// A colour in both kinds of picture: fill, line.
type Colours = (&'static str, &'static str);

impl Mark {
    const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Started,
        Self::Done,
        Self::Refused,
        Self::Unknown,
        Self::Undoing,
        Self::Undone,
        Self::Stuck,
    ];

    fn of(step: Option<&StepState>) -> Self {
        let Some(step) = step else {
            return Self::Waiting;
        };
        match (step.undo, step.progress) {
            (Undoing::Undone, _) => Self::Undone,
            (Undoing::Failed, _) => Self::Stuck,
            (Undoing::Waiting | Undoing::Started, _) => Self::Undoing,
            (Undoing::Idle, Progress::Waiting) => Self::Waiting,
            (Undoing::Idle, Progress::Started) => Self::Started,
            (Undoing::Idle, Progress::Done) => Self::Done,
            (Undoing::Idle, Progress::Refused) => Self::Refused,
            (Undoing::Idle, Progress::Unknown | Progress::Held) => Self::Unknown,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Started => "started",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Stuck => "stuck",
        }
    }

    const fn colours(self) -> Colours {
        match self {
            Self::Waiting => ("#ffffff", "#9aa0a6"),
            Self::Started => ("#e8f0fe", "#1a73e8"),
            Self::Done => ("#e6f4ea", "#188038"),
            Self::Refused => ("#fce8e6", "#c5221f"),
            Self::Unknown => ("#fef7e0", "#b06000"),
            Self::Undoing => ("#fff1e0", "#e8710a"),
            Self::Undone => ("#eceff1", "#5f6368"),
            Self::Stuck => ("#f9d7d4", "#8c1d18"),
        }
    }
}

impl<'a> Picture<'a> {
    /// The definition alone.
    pub const fn of(outline: &'a Outline) -> Self {
        Self {
            outline,
            state: None,
        }
    }

    /// The way of one of its sagas.
    #[must_use]
    pub const fn with(mut self, state: &'a State) -> Self {
        self.state = Some(state);
        self
    }

    /// As a Mermaid flowchart, for what draws those in Markdown.
    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }

    /// As an SVG document.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    fn title(&self) -> String {
        format!("{} v{}", self.outline.name, self.outline.version)
    }

    /// What stands below the last stage: where the saga is, or that it would be through.
    fn foot(&self) -> &'static str {
        self.state
            .map_or(Phase::Completed, |state| state.phase)
            .as_str()
    }

    fn state_of(&self, step: &StepOutline) -> Option<&StepState> {
        self.state?.step(&step.name)
    }

    fn mark(&self, step: &StepOutline) -> Mark {
        Mark::of(self.state_of(step))
    }

    /// Whether the saga's way forward came to this stage.
    fn reached(&self, stage: &[StepOutline]) -> bool {
        let begun = |step| self.state_of(step).is_some_and(|state| state.attempt > 0);
        stage.iter().any(begun)
    }

    /// Whether the way forward is through.
    fn is_through(&self) -> bool {
        self.state
            .is_some_and(|state| state.phase == Phase::Completed)
    }
}

/// What a step is by its definition, in one line.
fn nature(step: &StepOutline) -> String {
    let undo = match step.undo {
        Some(Action::Local) => ", undone here",
        Some(Action::Ask) => ", undone by ask",
        None => "",
    };
    match (step.action, step.deadline_ms) {
        (Some(Action::Local), _) => format!("local{undo}"),
        (Some(Action::Ask), Some(deadline)) => format!("ask, {}{undo}", span(deadline)),
        (Some(Action::Ask), None) => format!("ask{undo}"),
        (None, _) => "not registered here".to_owned(),
    }
}

/// What became of a step in one saga, in one line.
fn fate(state: &StepState) -> String {
    let progress = match state.progress {
        Progress::Waiting if state.attempt == 0 => return "not begun".to_owned(),
        Progress::Waiting => "to be tried again",
        Progress::Started => "started",
        Progress::Done => "done",
        Progress::Refused => "refused",
        Progress::Unknown => "unknown",
        Progress::Held => "unknown, held",
    };
    let undo = match state.undo {
        Undoing::Idle => "",
        Undoing::Waiting => ", undo waits",
        Undoing::Started => ", undo started",
        Undoing::Undone => ", undone",
        Undoing::Failed => ", undo failed",
    };
    let late = state.late.as_ref().map_or("", |_| ", late reply");
    let attempts = match state.attempt + state.undo_attempt {
        0 | 1 => String::new(),
        _ if state.undo_attempt > 0 => format!(" ({}+{})", state.attempt, state.undo_attempt),
        _ => format!(" ({})", state.attempt),
    };
    format!("{progress}{undo}{late}{attempts}")
}

/// Milliseconds as people write them.
fn span(milliseconds: u64) -> String {
    match milliseconds {
        whole if whole % 1000 == 0 => format!("{} s", whole / 1000),
        part => format!("{part} ms"),
    }
}
