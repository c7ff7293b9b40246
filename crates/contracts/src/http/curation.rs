//! What curators do with the question bank: pages, bulk import and its report.

use uuid::Uuid;

use super::CuratedQuestion;

bodies! {
    /// `GET /api/admin/questions`
    CuratedPage {
        /// The page.
        items: Vec<CuratedQuestion>,
        /// Where the next page begins; null on the last.
        next_cursor: Option<String>,
    }
    /// `POST /api/admin/questions/import`: what became of every row.
    ImportReport {
        /// Rows read.
        rows: u64,
        /// Questions that are new.
        created: u64,
        /// Questions that were there and are different now.
        updated: u64,
        /// Rows that said what was there already.
        unchanged: u64,
        /// Rows that were not taken, in the order of their lines.
        refused: Vec<RefusedRow>,
    }
    /// A row of an import that was not taken.
    RefusedRow {
        /// The line of the file where the row begins, from 1.
        line: u64,
        /// The row's id, where it names one.
        id: Option<Uuid>,
        /// A stable code: `invalid_field`, `malformed_row`, `version_conflict`, `duplicate_row`,
        /// `duplicate_question`, `already_exists`.
        code: String,
        /// The field at fault, where one is.
        field: Option<String>,
        /// What is wrong with it.
        reason: String,
    }
}
