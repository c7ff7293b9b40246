//! Which board a request is about, and where its next page begins.

use chassis::http::cursor::{BadCursor, Listing};
use contracts::{Period, QuizMode};
use serde::Deserialize;
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::IntoParams;

use super::{Board, Key, PAGE_DEFAULT, PAGE_MAX};

/// The query of a board, as it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BoardQuery {
    /// How its players play.
    #[param(required, nullable = false, inline)]
    pub quiz_mode: Option<QuizMode>,
    /// Over which time: days and weeks are those of UTC, weeks begin on Monday. All time unless
    /// told.
    #[param(nullable = false, inline)]
    pub period: Option<Period>,
}

/// The query of a page, as it arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How its players play.
    #[param(required, nullable = false, inline)]
    pub quiz_mode: Option<QuizMode>,
    /// Over which time: days and weeks are those of UTC, weeks begin on Monday. All time unless
    /// told.
    #[param(nullable = false, inline)]
    pub period: Option<Period>,
    /// Lines of the page; 20 unless told.
    #[param(nullable = false, value_type = Option<u32>, minimum = 1, maximum = 100)]
    pub limit: Option<String>,
    /// The `nextCursor` of the page before, unchanged, with the same filter. The pages stay on the
    /// board that the first one was of, also when its day or week ends meanwhile.
    #[param(nullable = false, max_length = 1024)]
    pub cursor: Option<String>,
}

/// A checked page of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The board.
    pub board: Board,
    /// Only lines behind this key.
    pub after: Option<Key>,
    /// Lines at most.
    pub limit: u32,
}

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Nobody said which board.
    #[error("quizMode is missing: classic, timed or survival")]
    NoMode,
    /// No page has so many lines.
    #[error("limit is not a number from 1 to {PAGE_MAX}")]
    Limit,
    /// The cursor is none, or not of this list.
    #[error("cursor {0}")]
    Cursor(#[from] BadCursor),
}

impl BoardQuery {
    /// The board that is meant `now`.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn board(&self, now: OffsetDateTime) -> Result<Board, Fault> {
        let quiz_mode = self.quiz_mode.ok_or(Fault::NoMode)?;
        let period = self.period.unwrap_or(Period::AllTime);
        Ok(Board::at(quiz_mode, period, now))
    }
}

impl PageQuery {
    /// The page that is meant `now`.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn page(&self, now: OffsetDateTime) -> Result<Page, Fault> {
        let query = BoardQuery {
            quiz_mode: self.quiz_mode,
            period: self.period,
        };
        let first = Page {
            board: query.board(now)?,
            after: None,
            limit: self.limit.as_deref().map_or(Ok(PAGE_DEFAULT), limit)?,
        };
        match &self.cursor {
            Some(cursor) => Ok(first.behind(cursor)?),
            None => Ok(first),
        }
    }
}

impl Page {
    /// The cursor behind which the next page begins, when this one ends with the line at `key`.
    #[must_use]
    pub fn cursor(&self, key: &Key) -> String {
        let place = (self.board.begins, &key[..16], &key[16..]);
        self.list(|list| list.cursor(&place))
    }

    fn behind(self, cursor: &str) -> Result<Self, BadCursor> {
        let (begins, upper, lower) =
            self.list(|list| list.place::<(u32, [u8; 16], [u8; 16])>(cursor))?;
        let board = Board {
            begins,
            ..self.board
        };
        // A board begins on the first day of its period, today's or an earlier one.
        let is_one = board.since().is_none_or(|since| {
            begins <= self.board.begins && Board::at(board.quiz_mode, board.period, since) == board
        });
        if !is_one || (board.since().is_none() && begins != 0) {
            return Err(BadCursor);
        }
        let mut key = [0; 32];
        key[..16].copy_from_slice(&upper);
        key[16..].copy_from_slice(&lower);
        Ok(Self {
            board,
            after: Some(key),
            ..self
        })
    }

    fn list<T>(&self, act: impl FnOnce(Listing<'_>) -> T) -> T {
        act(Listing {
            name: "leaderboard",
            filter: &[self.board.quiz_mode.as_str(), self.board.period.as_str()],
        })
    }
}

fn limit(text: &str) -> Result<u32, Fault> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number
        .filter(|limit| (1..=PAGE_MAX).contains(limit))
        .ok_or(Fault::Limit)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn query(period: Period, cursor: Option<String>) -> PageQuery {
        PageQuery {
            quiz_mode: Some(QuizMode::Timed),
            period: Some(period),
            limit: None,
            cursor,
        }
    }

    #[test]
    fn a_cursor_stays_on_its_board_when_the_day_ends() {
        let today = query(Period::Day, None).page(NOW).unwrap();
        let cursor = today.cursor(&[7; 32]);
        let tomorrow = datetime!(2026-11-23 00:00:01 UTC);
        let next = query(Period::Day, Some(cursor.clone())).page(tomorrow);
        let expected = Page {
            after: Some([7; 32]),
            ..today
        };
        assert_eq!(next, Ok(expected));
        let other = query(Period::Week, Some(cursor)).page(NOW);
        assert_eq!(other, Err(Fault::Cursor(BadCursor)));
    }

    #[test]
    fn a_cursor_of_a_board_that_cannot_be_is_refused() {
        for (period, days) in [
            (Period::AllTime, 1_i64),
            (Period::Week, 1),
            (Period::Day, 1_000),
        ] {
            let page = query(period, None).page(NOW).unwrap();
            let begins = i64::from(page.board.begins) + days;
            let board = Board {
                begins: u32::try_from(begins).unwrap(),
                ..page.board
            };
            let forged = Page { board, ..page }.cursor(&[7; 32]);
            let refused = query(period, Some(forged)).page(NOW);
            assert_eq!(refused, Err(Fault::Cursor(BadCursor)), "{period}");
        }
    }

    #[test]
    fn the_limit_is_one_to_a_hundred() {
        let with = |limit: &str| PageQuery {
            limit: Some(limit.to_owned()),
            ..query(Period::AllTime, None)
        };
        for (text, expected) in [
            ("1", Ok(1)),
            ("100", Ok(100)),
            ("0", Err(Fault::Limit)),
            ("101", Err(Fault::Limit)),
            ("+1", Err(Fault::Limit)),
            ("", Err(Fault::Limit)),
            ("ten", Err(Fault::Limit)),
        ] {
            let page = with(text).page(NOW).map(|page| page.limit);
            assert_eq!(page, expected, "{text}");
        }
        assert_eq!(query(Period::AllTime, None).page(NOW).unwrap().limit, 20);
    }

    #[test]
    fn a_board_has_a_mode() {
        let fault = BoardQuery::default().board(NOW);
        assert_eq!(fault, Err(Fault::NoMode));
    }
}
