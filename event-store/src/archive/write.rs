//! Writing segments and the manifest.

use std::{fs, io::Write as _, path::Path};

use contracts::Recorded;
use faults::Write;
use flate2::{Compression, GzBuilder};
use uuid::Uuid;

use super::{ArchiveError, MANIFEST, Manifest, Segment, Step, Watch, disk, failed, set};
use crate::log::ArchivedRange;

/// The manifest in `folder`; what it does not name and has no name is removed. A new folder gets an
/// empty one before its first segment, so a folder that has segments always has a manifest. Events of the
/// ranges `only` are nowhere else: a manifest that does not name their files is not the newest one.
pub(super) fn tidy(
    folder: &Path,
    epoch: Uuid,
    only: &[ArchivedRange],
    watch: &Watch,
) -> Result<Manifest, ArchiveError> {
    let manifest = match set::manifest(folder)? {
        Some(manifest) => manifest,
        None => {
            let empty = Manifest::new(epoch);
            self::manifest(folder, &empty, watch)?;
            empty
        }
    };
    if manifest.epoch != epoch {
        return Err(damaged(MANIFEST, "it belongs to another log"));
    }
    if let Some(broken) = manifest.broken_at() {
        let text = format!("{} does not continue what is before it", broken.file);
        return Err(damaged(MANIFEST, &text));
    }
    let is_here = |range: &&ArchivedRange| range.file.starts_with(&format!("{epoch}/"));
    for range in only.iter().filter(is_here) {
        let file = range.file.rsplit('/').next().unwrap_or_default();
        if !manifest.segments.iter().any(|known| known.file == file) {
            let text = format!("it does not name {file}, where events lie that are nowhere else");
            return Err(damaged(MANIFEST, &text));
        }
    }
    for name in disk::names(folder)? {
        let is_segment = name.starts_with("events-");
        let is_known = manifest.segments.iter().any(|known| known.file == name);
        if name.starts_with(disk::PASSING) || (is_segment && !is_known) {
            disk::remove(folder, &name)?;
        }
    }
    Ok(manifest)
}

/// Whether a segment's file is there with its size. Its content is the snapshot's to check: that
/// reads all of them.
pub(super) fn is_there(folder: &Path, segment: &Segment) -> bool {
    fs::metadata(folder.join(&segment.file)).is_ok_and(|file| file.len() == segment.bytes)
}

/// Writes a range of events, reads it back, and gives it its name. The same events always have the
/// same bytes: there is no time in the file.
pub(super) fn segment(
    folder: &Path,
    first: i64,
    last: i64,
    events: &[Recorded],
    watch: &Watch,
) -> Result<Segment, ArchiveError> {
    let name = Segment::name(first, last);
    let bytes = compress(events).map_err(|source| failed(&folder.join(&name), source))?;
    let segment = Segment {
        file: name.clone(),
        first,
        last,
        bytes: bytes.len().try_into().unwrap_or(u64::MAX),
        sha256: disk::digest(&bytes),
    };
    let passing = disk::write(folder, &bytes)?;
    let epoch = events.first().map(|event| event.epoch);
    set::check(&passing, &segment, epoch)?;
    watch.saw(Step::SegmentWritten, &passing)?;
    faults::before(Write::ArchiveSegment);
    disk::name(&passing, folder, &name)?;
    faults::after(Write::ArchiveSegment);
    watch.saw(Step::SegmentNamed, folder)?;
    Ok(segment)
}

/// Puts a manifest in the place of the one before it.
pub(super) fn manifest(
    folder: &Path,
    manifest: &Manifest,
    watch: &Watch,
) -> Result<(), ArchiveError> {
    let json = serde_json::to_vec_pretty(manifest)
        .map_err(|error| failed(&folder.join(MANIFEST), error.into()))?;
    let passing = disk::write(folder, &json)?;
    watch.saw(Step::ManifestWritten, &passing)?;
    faults::before(Write::ArchiveManifest);
    disk::name(&passing, folder, MANIFEST)?;
    faults::after(Write::ArchiveManifest);
    watch.saw(Step::ManifestNamed, folder)
}

fn compress(events: &[Recorded]) -> std::io::Result<Vec<u8>> {
    let mut file = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::default());
    for event in events {
        serde_json::to_writer(&mut file, event)?;
        file.write_all(b"\n")?;
    }
    file.finish()
}

fn damaged(file: &str, text: &str) -> ArchiveError {
    ArchiveError::Damaged {
        file: file.to_owned(),
        text: text.to_owned(),
    }
}
