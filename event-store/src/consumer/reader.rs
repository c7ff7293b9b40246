use std::sync::Arc;

use contracts::Recorded;

use super::{
    Handler,
    progress::Reporter,
    split::{self, Part},
};

/// One checkpoint's reader: a consumer, a part of one, or what builds a second copy.
pub(super) struct Reader {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) reporter: Reporter,
    /// Which part of its consumer it is; none for what builds a second copy, which has a checkpoint
    /// only while one is being built.
    pub(super) part: Option<Part>,
    name: &'static str,
}

impl Reader {
    /// The readers of a consumer in so many parts.
    pub(super) fn of(handler: &Arc<dyn Handler>, parts: u32) -> Vec<Arc<Self>> {
        let consumer = handler.name();
        let one = |number| {
            let part = Part {
                consumer,
                number,
                of: parts,
            };
            let name = if part.is_whole() {
                consumer
            } else {
                // Once for each part of a program's consumers, whose names are as long-lived.
                part.name().leak()
            };
            Arc::new(Self::new(handler, name, Some(part)))
        };
        (1..=parts).map(one).collect()
    }

    pub(super) fn new(handler: &Arc<dyn Handler>, name: &'static str, part: Option<Part>) -> Self {
        Self {
            handler: Arc::clone(handler),
            reporter: Reporter::new(name),
            part,
            name,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// The consumer that it is, or is a part of.
    pub(super) fn consumer(&self) -> &'static str {
        self.part.map_or(self.name, |part| part.consumer)
    }

    /// Whether there are others of its consumer.
    pub(super) fn is_split(&self) -> bool {
        self.part.is_some_and(|part| !part.is_whole())
    }

    pub(super) fn wants(&self, event: &Recorded) -> bool {
        let types = self.handler.types();
        let is_type = types.is_empty() || types.contains(&event.event.event_type.as_str());
        is_type && self.part.is_none_or(|part| part.has(&event.event.stream))
    }

    /// What it is to handle of what a feed shares: what it wants and former parts have not handled.
    pub(super) fn needed<'a>(
        &self,
        events: &'a [Arc<Recorded>],
        before: &split::Before,
    ) -> Vec<&'a Recorded> {
        events
            .iter()
            .map(|event| &**event)
            .filter(|event| self.wants(event) && !before.has(event))
            .collect()
    }
}
