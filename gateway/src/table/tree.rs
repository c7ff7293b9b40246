//! Values by path prefix: a tree of segments.

use std::cmp::Ordering;

/// Whether letters' case matters in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Kept,
    Ignored,
}

/// Values by path prefix. A tree is filled and read with the same [`Case`].
#[derive(Debug)]
pub(super) struct Tree<T> {
    values: Vec<T>,
    /// Sorted by name; a sorted list takes comparing without regard to case where a hash map
    /// would need an owned lower-case key.
    children: Vec<(Box<str>, Tree<T>)>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            children: Vec::new(),
        }
    }
}

impl<T> Tree<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.children.is_empty()
    }

    pub(super) fn insert(&mut self, prefix: &str, value: T, case: Case) {
        let mut node = self;
        for segment in segments(prefix) {
            let index = match node.position(segment, case) {
                Ok(index) => index,
                Err(index) => {
                    let name = match case {
                        Case::Kept => segment.into(),
                        Case::Ignored => segment.to_ascii_lowercase().into(),
                    };
                    node.children.insert(index, (name, Self::default()));
                    index
                }
            };
            node = &mut node.children[index].1;
        }
        node.values.push(value);
    }

    /// What `pick` finds at the deepest prefix of the path where it finds anything, and how many
    /// segments that prefix has.
    pub(super) fn deepest<'a, R>(
        &'a self,
        path: &str,
        case: Case,
        pick: impl Fn(&'a [T]) -> Option<R>,
    ) -> Option<(R, usize)> {
        let at = |node: &'a Self, depth| {
            let values = Some(node.values.as_slice()).filter(|values| !values.is_empty())?;
            pick(values).map(|found| (found, depth))
        };
        let mut node = self;
        let mut found = at(node, 0);
        for (index, segment) in segments(path).enumerate() {
            let Ok(child) = node.position(segment, case) else {
                break;
            };
            node = &node.children[child].1;
            found = at(node, index + 1).or(found);
        }
        found
    }

    /// The values at each prefix that has any.
    pub(super) fn lists(&self) -> impl Iterator<Item = &[T]> {
        let mut nodes = vec![self];
        let each = std::iter::from_fn(move || {
            let node = nodes.pop()?;
            nodes.extend(node.children.iter().map(|(_, child)| child));
            Some(node.values.as_slice())
        });
        each.filter(|values| !values.is_empty())
    }

    fn position(&self, segment: &str, case: Case) -> Result<usize, usize> {
        self.children
            .binary_search_by(|(name, _)| compare(name, segment, case))
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Compares a child's name (lower case where case is ignored) with a path's segment.
fn compare(name: &str, segment: &str, case: Case) -> Ordering {
    match case {
        Case::Kept => name.cmp(segment),
        Case::Ignored => name
            .bytes()
            .cmp(segment.bytes().map(|byte| byte.to_ascii_lowercase())),
    }
}
