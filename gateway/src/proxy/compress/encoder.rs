//! The three encoders behind one face: bytes in, bytes out.
//!
//! Each has a window of half a MiB at most, and about as much beside it, and [`MOST`] exist at once: they
//! stay within a GiB whatever the clients ask for. The level costs about as much as the rest of the
//! request.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;

use crate::config::Coding;

/// An encoder, and what came out of it.
pub(super) enum Encoder {
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
}

/// Encoders at once, in the whole process.
pub(crate) const MOST: usize = 1024;
/// Of 11: from 5 on it costs several times as much for a few percent.
const BROTLI_QUALITY: u32 = 4;
/// Of 22: the library's own default.
const ZSTD_LEVEL: i32 = 3;
/// Of 9: what servers commonly use.
const GZIP_LEVEL: u32 = 5;
/// 2^19 bytes.
const WINDOW_BITS: u32 = 19;
/// brotli's own buffer between the encoder and the output.
const BUFFER: usize = 8 * 1024;
/// Smaller pieces cost more in framing than they save in waiting; a pause sends them anyway.
const PIECE: usize = 8 * 1024;

impl Encoder {
    /// `None` where the encoder's memory cannot be had: the answer then goes out as it is.
    pub(super) fn new(coding: Coding) -> Option<Self> {
        let out = Vec::new();
        Some(match coding {
            Coding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                out,
                BUFFER,
                BROTLI_QUALITY,
                WINDOW_BITS,
            ))),
            Coding::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL).ok()?;
                let window = zstd::zstd_safe::CParameter::WindowLog(WINDOW_BITS);
                encoder.set_parameter(window).ok()?;
                Self::Zstd(encoder)
            }
            Coding::Gzip => Self::Gzip(GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL))),
        })
    }

    /// Compresses; gives what is worth sending by now.
    pub(super) fn encode(&mut self, data: &[u8]) -> io::Result<Option<Bytes>> {
        self.writer().write_all(data)?;
        let out = self.out();
        let is_worth_it = out.len() >= PIECE;
        Ok(is_worth_it.then(|| std::mem::take(out).into()))
    }

    /// Everything that went in so far can be read from what comes out.
    pub(super) fn flush(&mut self) -> io::Result<Bytes> {
        self.writer().flush()?;
        Ok(std::mem::take(self.out()).into())
    }

    /// The end of the body.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Brotli(encoder) => encoder.into_inner().into(),
            Self::Zstd(encoder) => encoder.finish()?.into(),
            Self::Gzip(encoder) => encoder.finish()?.into(),
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Brotli(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
            Self::Gzip(encoder) => encoder,
        }
    }

    fn out(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder(…)")
    }
}
