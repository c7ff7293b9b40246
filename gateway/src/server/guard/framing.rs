//! Where in a request a client's stream is, and whether that is clear. Pure.

/// Where in a request the stream is.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    line: Line,
    length: Option<u64>,
    is_chunked: bool,
    is_upgrade: bool,
    has_request_line: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Within the request line and headers.
    #[default]
    Head,
    /// Within a body or chunk of known length; then the state that follows.
    Data { left: u64, is_chunk: bool },
    /// Within the line break behind a chunk.
    ChunkEnd,
    /// Within a chunk's size and extensions.
    ChunkSize,
    /// Behind the last chunk.
    Trailers,
    /// The bytes are no requests any more.
    Off,
    /// They are none that anybody answers.
    Refused,
}

/// The beginning of the current line; names and lengths are short.
#[derive(Debug, Default)]
struct Line {
    start: Vec<u8>,
    length: usize,
    last: u8,
}

/// As much of a line as can matter: `transfer-encoding` with a few codings, a chunk's size.
const LINE_START: usize = 80;

/// Longer chunk extensions have no use but to hide things.
const MAX_CHUNK_LINE: usize = 256;

/// The framing is ambiguous.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

impl Framing {
    /// Some of a head was read, and not all.
    pub(super) fn is_within_head(&self) -> bool {
        self.state == State::Head && (self.has_request_line || self.line.length > 0)
    }

    /// All of the last request was read, and nothing of the next.
    pub(super) fn is_between_requests(&self) -> bool {
        self.state == State::Head && !self.is_within_head()
    }

    /// The bytes are another protocol's.
    pub(super) fn is_off(&self) -> bool {
        self.state == State::Off
    }

    /// Follows the bytes; blanks them from the first one that makes the framing ambiguous.
    ///
    /// # Errors
    /// [`Ambiguous`] behind a head: there is nobody to answer any more, and the parser would wait for
    /// the end of what was blanked.
    pub(super) fn check(&mut self, bytes: &mut [u8]) -> Result<(), Ambiguous> {
        if self.state == State::Refused {
            bytes.fill(0);
        }
        let mut at = 0;
        while at < bytes.len() && !matches!(self.state, State::Off | State::Refused) {
            match self.step(&bytes[at..]) {
                Ok(taken) => at += taken,
                Err(Ambiguous) => {
                    // No parser takes a NUL in a head.
                    bytes[at..].fill(0);
                    let is_head = std::mem::replace(&mut self.state, State::Refused) == State::Head;
                    return if is_head { Ok(()) } else { Err(Ambiguous) };
                }
            }
        }
        Ok(())
    }

    /// Takes at least one byte.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Ambiguous> {
        if let State::Data { left, is_chunk } = self.state {
            let here = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let left = left - here as u64;
            self.state = match (left, is_chunk) {
                (0, true) => State::ChunkEnd,
                (0, false) => State::Head,
                _ => State::Data { left, is_chunk },
            };
            return Ok(here);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        // A fragment is no part of a target (RFC 9112 §3.2), and bytes above ASCII are in none; the
        // library would cut the one off and let the others pass.
        let is_request_line = self.state == State::Head && !self.has_request_line;
        let is_foreign = |byte: &u8| *byte == b'#' || !byte.is_ascii();
        if is_request_line && bytes[..taken].iter().any(is_foreign) {
            return Err(Ambiguous);
        }
        self.line.push(&bytes[..taken]);
        if self.state == State::ChunkSize && self.line.length > MAX_CHUNK_LINE {
            return Err(Ambiguous);
        }
        if end.is_some() {
            self.end_line()?;
            self.line.clear();
        }
        Ok(taken)
    }

    fn end_line(&mut self) -> Result<(), Ambiguous> {
        let line = self.line.content()?;
        match self.state {
            State::Head if line.is_empty() => self.end_head(),
            State::Head if self.has_request_line => return self.header(),
            State::Head => self.has_request_line = true,
            State::ChunkSize => {
                let size = chunk_size(line)?;
                self.state = match size {
                    0 => State::Trailers,
                    left => State::Data {
                        left,
                        is_chunk: true,
                    },
                };
            }
            State::ChunkEnd if line.is_empty() => self.state = State::ChunkSize,
            State::ChunkEnd => return Err(Ambiguous),
            State::Trailers if line.is_empty() => self.state = State::Head,
            State::Trailers | State::Data { .. } | State::Off | State::Refused => {}
        }
        Ok(())
    }

    fn header(&mut self) -> Result<(), Ambiguous> {
        let line = self.line.content()?;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Ok(());
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let is_second = self.length.replace(decimal(value)?).is_some();
            if is_second || self.is_chunked {
                return Err(Ambiguous);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // What is not exactly this the parser refuses, or we could not follow.
            if self.length.is_some() || self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Ambiguous);
            }
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.is_upgrade = true;
        }
        Ok(())
    }

    fn end_head(&mut self) {
        if !self.has_request_line {
            // Empty lines before a request are passed over (RFC 9112 §2.2).
            return;
        }
        self.state = match self.length.take() {
            _ if self.is_upgrade => State::Off,
            _ if self.is_chunked => State::ChunkSize,
            Some(left) if left > 0 => State::Data {
                left,
                is_chunk: false,
            },
            _ => State::Head,
        };
        self.is_chunked = false;
        self.has_request_line = false;
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let room = LINE_START.saturating_sub(self.start.len()).min(bytes.len());
        self.start.extend_from_slice(&bytes[..room]);
        self.length += bytes.len();
        if let [.., before, b'\n'] = bytes {
            self.last = *before;
        } else if let [single] = bytes
            && *single == b'\n'
        {
            // What came in the read before is still the last byte before the line break.
        } else if let [.., last] = bytes {
            self.last = *last;
        }
    }

    /// The line (or its beginning) without its end, which must be CR LF.
    fn content(&self) -> Result<&[u8], Ambiguous> {
        if self.last != b'\r' {
            return Err(Ambiguous);
        }
        let end = (self.length - 2).min(self.start.len());
        Ok(&self.start[..end])
    }

    fn clear(&mut self) {
        self.start.clear();
        self.length = 0;
        self.last = 0;
    }
}

fn decimal(value: &[u8]) -> Result<u64, Ambiguous> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).map_err(|_| Ambiguous)?;
    text.parse().ok().filter(|_| is_number).ok_or(Ambiguous)
}

fn chunk_size(line: &[u8]) -> Result<u64, Ambiguous> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).map_err(|_| Ambiguous)?;
    let size = u64::from_str_radix(text, 16).ok();
    size.filter(|_| is_number).ok_or(Ambiguous)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the bytes pass unchanged, read in pieces of every size.
    fn passes(text: &str) -> bool {
        let outcomes: Vec<bool> = (1..=text.len())
            .map(|size| {
                let mut framing = Framing::default();
                let mut bytes = text.as_bytes().to_vec();
                let passed = bytes
                    .chunks_mut(size)
                    .all(|piece| framing.check(piece).is_ok());
                passed && bytes == text.as_bytes()
            })
            .collect();
        assert!(
            outcomes.iter().all(|outcome| *outcome == outcomes[0]),
            "the pieces matter: {outcomes:?} for {text:?}"
        );
        outcomes[0]
    }

    #[test]
    fn sound_requests_pass_one_after_the_other() {
        let requests = [
            "GET / HTTP/1.1\r\nhost: a\r\ncookie: b\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab\ncd",
            "\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
             3\r\na\nc\r\nA;x=y\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
            "PUT / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        ];
        for request in requests {
            assert!(passes(request), "{request:?}");
        }
        assert!(passes(&requests.concat()));
    }

    #[test]
    fn a_smuggled_request_is_found_behind_any_sound_one() {
        let sound = "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc\
                     POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
        for smuggled in [
            "content-length: 3\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
            "content-length: 3\r\nContent-length: 3\r\n",
            "content-length: 3\r\ncontent-length: 4\r\n",
            "content-length: 3, 3\r\n",
            "content-length: +3\r\n",
            "content-length:\r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: identity\r\n",
            "transfer-encoding: chunked, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: \x0bchunked\r\n",
            "x: y\nz: w\r\n",
        ] {
            let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{smuggled}\r\n");
            assert!(!passes(&request), "{smuggled:?}");
            assert!(!passes(&format!("{sound}{request}")), "{smuggled:?}");
        }
    }

    #[test]
    fn broken_chunks_are_found() {
        for chunks in [
            "x\r\n",
            "\r\n",
            "-1\r\n",
            "0x3\r\nabc\r\n",
            "3 \r\nabc\r\n",
            "3\r\nabcd\r\n",
            "3\nabc\r\n",
        ] {
            let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
            assert!(!passes(&format!("{head}{chunks}0\r\n\r\n")), "{chunks:?}");
        }
    }

    #[test]
    fn a_target_that_the_library_would_repair_is_found() {
        for target in ["/a#b", "/a?b#", "/caf\u{e9}"] {
            assert!(
                !passes(&format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")),
                "{target}"
            );
        }
        assert!(passes("GET /a HTTP/1.1\r\nhost: a\r\nx: #\u{e9}\r\n\r\n"));
    }

    #[test]
    fn after_an_upgrade_the_bytes_are_free() {
        let head = "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        assert!(passes(&format!("{head}any\nthing\n")));
    }
}
