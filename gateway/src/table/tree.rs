//! Values by path pattern: a tree of segments.

use std::cmp::Ordering;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::config::{Pattern, Segment};

/// Whether letters' case matters in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Kept,
    Ignored,
}

/// Values by path pattern. A tree is filled and read with the same [`Case`].
#[derive(Debug)]
pub(super) struct Tree<T> {
    /// For this path and all below it.
    below: Vec<T>,
    /// For this path alone.
    exact: Vec<T>,
    /// Where case is ignored, sorted by name: a sorted list takes comparing without regard to case
    /// where a hash map would need an owned lower-case key.
    children: Vec<(Box<str>, Tree<T>)>,
    /// Where case is kept, each child's place: among thousands, one look instead of a dozen. The names are
    /// the file's, so that nobody can fill it with names of one hash.
    places: HashMap<Box<str>, usize, RandomState>,
    /// Where a template has a name.
    any: Option<Box<Tree<T>>>,
}

/// How narrow a pattern is, for comparing patterns that take one and the same path: two bits for
/// each segment from the left (a literal before a name), then how it ends (at this path alone, or
/// with all below). The greater one is the narrower at the first place where they differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u128);

/// What stands at one place of a pattern. Its bits hold those of whatever takes the same path and
/// more, so that [`Rank::is_within`] is one comparison.
#[derive(Debug, Clone, Copy)]
enum Place {
    Literal = 0b11,
    Name = 0b10,
    End = 0b01,
}

impl Rank {
    /// Of two patterns of one path: whether each path of this one is one of the other's.
    pub(super) fn is_within(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// `at` is at most [`crate::config::MAX_SEGMENTS`], the depth of the deepest tree.
    fn with(self, at: u32, place: Place) -> Self {
        Self(self.0 | (place as u128) << (126 - 2 * at))
    }
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self {
            below: Vec::new(),
            exact: Vec::new(),
            children: Vec::new(),
            places: HashMap::default(),
            any: None,
        }
    }
}

impl<T> Tree<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.below.is_empty()
            && self.exact.is_empty()
            && self.children.is_empty()
            && self.any.is_none()
    }

    pub(super) fn insert(&mut self, pattern: &Pattern, value: T, case: Case) {
        self.values(pattern, case).push(value);
    }

    /// The values of a pattern, to change them.
    pub(super) fn values(&mut self, pattern: &Pattern, case: Case) -> &mut Vec<T> {
        let mut node = self;
        for segment in pattern.segments() {
            node = match segment {
                Segment::Literal(text) => node.child(text, case),
                Segment::Name => node.any.get_or_insert_default(),
            };
        }
        if pattern.takes_below() {
            &mut node.below
        } else {
            &mut node.exact
        }
    }

    /// What `pick` finds first among the values of the patterns that take this path, from the
    /// narrowest to the broadest: segment by segment from the left, a literal comes before a name,
    /// and either before a pattern that ends earlier.
    ///
    /// A part of the tree that has nothing for the path is left again; where there are no names,
    /// that is one way down.
    pub(super) fn narrowest<'a, R>(
        &'a self,
        path: &str,
        case: Case,
        mut pick: impl FnMut(&'a [T], Rank) -> Option<R>,
    ) -> Option<(R, Rank)> {
        self.search(Segments(path), 0, Rank::default(), case, &mut pick)
    }

    fn search<'a, R>(
        &'a self,
        mut rest: Segments<'_>,
        at: u32,
        rank: Rank,
        case: Case,
        pick: &mut impl FnMut(&'a [T], Rank) -> Option<R>,
    ) -> Option<(R, Rank)> {
        let found = match rest.next() {
            Some(segment) => {
                let literal = self.place(segment, case);
                let literal = literal.map(|index| &self.children[index].1);
                let found = literal.and_then(|node| {
                    node.search(rest, at + 1, rank.with(at, Place::Literal), case, pick)
                });
                found.or_else(|| {
                    let node = self.any.as_ref()?;
                    node.search(rest, at + 1, rank.with(at, Place::Name), case, pick)
                })
            }
            None => picked(&self.exact, rank.with(at, Place::End), pick),
        };
        found.or_else(|| picked(&self.below, rank, pick))
    }

    /// Shows the values of each pattern that takes this path.
    pub(super) fn each<'a>(&'a self, path: &str, case: Case, mut show: impl FnMut(&'a [T], Rank)) {
        self.narrowest(path, case, |values, rank| {
            show(values, rank);
            None::<()>
        });
    }

    fn child(&mut self, segment: &str, case: Case) -> &mut Self {
        let index = match (self.place(segment, case), case) {
            (Some(index), _) => index,
            (None, Case::Kept) => {
                let index = self.children.len();
                self.places.insert(segment.into(), index);
                self.children.push((segment.into(), Self::default()));
                index
            }
            (None, Case::Ignored) => {
                let name: Box<str> = segment.to_ascii_lowercase().into();
                let index = self.children.partition_point(|(other, _)| *other < name);
                self.children.insert(index, (name, Self::default()));
                index
            }
        };
        &mut self.children[index].1
    }

    fn place(&self, segment: &str, case: Case) -> Option<usize> {
        match case {
            Case::Kept => self.places.get(segment).copied(),
            Case::Ignored => self
                .children
                .binary_search_by(|(name, _)| compare_folded(name, segment))
                .ok(),
        }
    }
}

/// The segments of a path that are not empty.
#[derive(Clone, Copy)]
struct Segments<'a>(&'a str);

impl<'a> Iterator for Segments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let path = self.0.trim_start_matches('/');
        if path.is_empty() {
            return None;
        }
        let (segment, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        self.0 = rest;
        Some(segment)
    }
}

fn picked<'a, T, R>(
    values: &'a [T],
    rank: Rank,
    pick: &mut impl FnMut(&'a [T], Rank) -> Option<R>,
) -> Option<(R, Rank)> {
    if values.is_empty() {
        return None;
    }
    pick(values, rank).map(|found| (found, rank))
}

/// Compares a child's lower-case name with a path's segment.
fn compare_folded(name: &str, segment: &str) -> Ordering {
    name.bytes()
        .cmp(segment.bytes().map(|byte| byte.to_ascii_lowercase()))
}
