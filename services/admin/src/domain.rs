//! Questions as curators write them: what a valid one is, which version an edit was made on, lists,
//! bulk import and export. Pure: no clock, no I/O. The monolith calls it, too, so that both sides
//! judge alike.

mod export;
mod import;
mod listing;
mod precondition;
mod question;
mod rows;

pub use contracts::{Difficulty, events::Choice};
pub use export::{EXPORT_PAGE, Export};
pub use import::{Act, BATCH, Candidate, Decided, Import, Known, Mode};
pub use listing::{Filter, LIMIT_MAX, ListingError, PageOf, RawExport, RawImport, RawListing};
pub use precondition::{IF_MATCH, expected_version};
pub use question::{
    CATEGORY_LENGTH, CHOICE_ID_LENGTH, CHOICE_LENGTH, CHOICES, Draft, Fault, Question, Stored,
    TAG_LENGTH, TAGS, TEXT_LENGTH, VERSION_MAX,
};
pub use rows::{FILE_MAX, FileFault, Format, ROWS_MAX, Row, RowFault, Rows};
