//! What is kept of a body for a second attempt, and how far the newest attempt has read it.
//!
//! Invariant: at most [`REPLAY_LIMIT`] bytes are kept, in hardly more memory than that, whatever the
//! pieces they came in: one of a byte holds on to the buffer of kilobytes that it was read into.

use bytes::Bytes;

/// How much of a body is kept for a second attempt: the requests of an API fit, an upload does
/// not, and a thousand of them under way stay within 128 MiB with the buffers of their first pieces.
const REPLAY_LIMIT: usize = 64 * 1024;

/// The beginning of a body.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The first piece, as it came: mostly it is the whole body, and costs nothing to keep.
    first: Bytes,
    /// What came behind it, copied.
    rest: Vec<u8>,
    /// How much of this the newest attempt has read.
    read: usize,
    /// No further attempt will read it.
    is_let_go: bool,
}

impl Kept {
    /// A piece that the newest attempt gets from the client.
    pub(super) fn push(&mut self, data: &Bytes) {
        if self.is_let_go {
            return;
        }
        if self.len() + data.len() > REPLAY_LIMIT {
            self.let_go();
            return;
        }
        if self.first.is_empty() {
            self.first = data.clone();
        } else {
            self.rest.extend_from_slice(data);
        }
        self.read = self.len();
    }

    /// What the newest attempt has still to read of it before the client is asked for more.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if self.read == self.len() {
            return None;
        }
        let next = match self.read.checked_sub(self.first.len()) {
            None => self.first.slice(self.read..),
            Some(read) => Bytes::copy_from_slice(&self.rest[read..]),
        };
        self.read += next.len();
        self.forget_what_was_read();
        Some(next)
    }

    /// Another attempt reads from the beginning.
    pub(super) fn rewind(&mut self) {
        self.read = 0;
    }

    /// There will be no other attempt: what the newest one has read is not needed any more.
    pub(super) fn let_go(&mut self) {
        self.is_let_go = true;
        self.forget_what_was_read();
    }

    /// True while another attempt could read all that has come.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_let_go
    }

    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    fn forget_what_was_read(&mut self) {
        if self.is_let_go && self.read == self.len() {
            (self.first, self.rest, self.read) = (Bytes::new(), Vec::new(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kept: &mut Kept) -> Vec<u8> {
        std::iter::from_fn(|| kept.next()).flatten().collect()
    }

    #[test]
    fn every_attempt_reads_the_same() {
        let mut kept = Kept::default();
        for piece in ["", "one ", "two ", "", "three"] {
            kept.push(&Bytes::from_static(piece.as_bytes()));
        }
        assert!(kept.next().is_none(), "who got it as it came has read it");
        for _ in 0..2 {
            kept.rewind();
            assert_eq!(read(&mut kept), b"one two three");
        }
        kept.push(&Bytes::from_static(b" four"));
        assert!(kept.next().is_none());
        kept.rewind();
        assert_eq!(read(&mut kept), b"one two three four");
    }

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let (mut kept, body) = (Kept::default(), Bytes::from(vec![b'x'; 1000]));
        kept.push(&body);
        kept.rewind();
        let again = kept.next().expect("the body");
        assert_eq!(again.as_ptr(), body.as_ptr());
    }

    #[test]
    fn small_pieces_hold_on_to_no_large_buffers() {
        let mut kept = Kept::default();
        kept.push(&Bytes::from_static(b"x"));
        for _ in 1..REPLAY_LIMIT {
            let buffer = Bytes::from(vec![b'x'; 8192]);
            kept.push(&buffer.slice(..1));
            assert!(buffer.is_unique());
        }
        assert!(kept.is_whole());
        assert!(kept.rest.capacity() <= 2 * REPLAY_LIMIT);
        kept.rewind();
        assert_eq!(read(&mut kept).len(), REPLAY_LIMIT);
    }

    #[test]
    fn what_grows_beyond_the_limit_is_let_go() {
        let mut kept = Kept::default();
        kept.push(&Bytes::from(vec![b'x'; REPLAY_LIMIT]));
        assert!(kept.is_whole());
        kept.push(&Bytes::from_static(b"x"));
        assert!(!kept.is_whole());
        assert_eq!((kept.len(), kept.rest.capacity()), (0, 0));
        kept.push(&Bytes::from_static(b"x"));
        assert_eq!(kept.len(), 0);
    }

    #[test]
    fn what_nobody_asks_for_again_goes_once_it_is_read() {
        let mut kept = Kept::default();
        let buffer = Bytes::from(vec![b'x'; 8192]);
        kept.push(&buffer);
        kept.push(&Bytes::from_static(b"end"));
        kept.rewind();
        kept.let_go();
        assert!(!kept.is_whole());
        // The attempt whose answer came early has still to send it.
        assert_eq!(read(&mut kept).len(), 8195);
        assert!(buffer.is_unique());
        assert_eq!((kept.len(), kept.rest.capacity()), (0, 0));
    }
}
