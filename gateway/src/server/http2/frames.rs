//! Follows the frames that a client sends, and ends the connection of one that floods.
//!
//! Frames that ask for work without bringing anything (pings, settings, priorities, empty data,
//! continuations) are each legal and together a weapon: answering or ignoring them costs more than
//! sending them (CVE-2019-9512, -9513, -9515, -9518; CVE-2024-27316). They draw on an allowance that requests,
//! bytes in either direction and time refill. Streams that are opened only to be reset
//! (CVE-2023-44487) are told by their share.
//!
//! Invariant: bytes are only looked at, never changed; what is malformed is the library's to refuse.

use std::io;
use std::sync::Arc;

use tokio::time::Instant;

use crate::stats::{Clients, Ended};
use crate::tapped::Tap;

/// The frame types of RFC 9113 §6 that are weighed differently.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;

/// The client's preface, before the first frame.
const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;

/// What a frame without a purpose of its own costs, and what a request or data earn.
const COST: i64 = 8;
const EARNED_BY_REQUEST: i64 = 16;
const EARNED_BY_DATA: i64 = 8;
/// A window's update costs little to handle, and careful clients send two for each frame they get.
const COST_OF_UPDATE: i64 = 1;
/// So many bytes of answers earn one: a ping's answer (17) less than the ping has cost.
const BYTES_EARN_ONE: usize = 32;
/// The allowance: a thousand such frames at once …
const FULL: i64 = 1_000 * COST;
/// … and a hundred in each second.
const EARNED_BY_SECOND: i64 = 100 * COST;

/// Resets are counted against a client from here on, if they are more than half of its requests.
const MAX_RESETS: u32 = 500;
/// The past counts half after so many requests, so that nobody saves up for a flood.
const REMEMBERED: u32 = 4_096;

/// Follows the frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    ledger: Ledger,
    counts: Arc<Clients>,
}

#[derive(Debug)]
struct Ledger {
    /// Bytes of the preface or of a frame's payload that are still to come.
    skip: usize,
    head: [u8; FRAME_HEAD],
    head_length: usize,
    allowance: i64,
    refilled: Instant,
    written: usize,
    requests: u32,
    resets: u32,
}

/// Enough is enough.
#[derive(Debug, PartialEq, Eq)]
struct Flood;

impl Frames {
    pub(super) fn new(counts: Arc<Clients>) -> Self {
        Self {
            ledger: Ledger::new(),
            counts,
        }
    }
}

impl Ledger {
    fn new() -> Self {
        Self {
            skip: PREFACE,
            head: [0; FRAME_HEAD],
            head_length: 0,
            allowance: FULL,
            refilled: Instant::now(),
            written: 0,
            requests: 0,
            resets: 0,
        }
    }

    fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (FRAME_HEAD - self.head_length).min(bytes.len());
            self.head[self.head_length..self.head_length + taken].copy_from_slice(&bytes[..taken]);
            self.head_length += taken;
            bytes = &bytes[taken..];
            if self.head_length == FRAME_HEAD {
                self.head_length = 0;
                self.frame()?;
            }
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<(), Flood> {
        let [first, second, third, kind, ..] = self.head;
        let length = u32::from_be_bytes([0, first, second, third]) as usize;
        self.skip = length;
        match kind {
            HEADERS => {
                self.earn(EARNED_BY_REQUEST);
                self.requests += 1;
                if self.requests == REMEMBERED {
                    (self.requests, self.resets) = (self.requests / 2, self.resets / 2);
                }
                Ok(())
            }
            DATA if length > 0 => {
                self.earn(EARNED_BY_DATA);
                Ok(())
            }
            RST_STREAM => {
                self.resets += 1;
                let is_flood = self.resets > MAX_RESETS && self.resets > self.requests / 2;
                if is_flood { Err(Flood) } else { Ok(()) }
            }
            WINDOW_UPDATE => self.spend(COST_OF_UPDATE),
            _ => self.spend(COST),
        }
    }

    fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        let earned = self.written / BYTES_EARN_ONE;
        self.written %= BYTES_EARN_ONE;
        self.earn(i64::try_from(earned).unwrap_or(FULL));
    }

    fn earn(&mut self, earned: i64) {
        self.allowance = (self.allowance + earned).min(FULL);
    }

    fn spend(&mut self, cost: i64) -> Result<(), Flood> {
        self.allowance -= cost;
        if self.allowance >= 0 {
            return Ok(());
        }
        // The clock is asked only when it matters.
        let now = Instant::now();
        let passed = now.duration_since(self.refilled).as_millis();
        self.refilled = now;
        let earned = i64::try_from(passed).unwrap_or(FULL) * EARNED_BY_SECOND / 1_000;
        self.earn(earned.min(FULL));
        if self.allowance < 0 {
            return Err(Flood);
        }
        Ok(())
    }
}

impl Tap for Frames {
    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ledger.follow(bytes).map_err(|Flood| {
            self.counts.ended(Ended::Flood);
            io::ErrorKind::InvalidData.into()
        })
    }

    fn wrote(&mut self, bytes: usize) {
        self.ledger.wrote(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + usize::from(length), 0);
        frame
    }

    /// How many of these frames are taken, up to 10,000, read in pieces of so many bytes.
    fn taken(kinds: &[(u8, u8)], piece: usize) -> usize {
        let mut ledger = Ledger::new();
        ledger.follow(&[0; PREFACE]).unwrap();
        let round: Vec<u8> = kinds
            .iter()
            .flat_map(|(kind, len)| frame(*kind, *len))
            .collect();
        (0..10_000)
            .take_while(|_| {
                let mut pieces = round.chunks(piece);
                pieces.all(|piece| ledger.follow(piece).is_ok())
            })
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_without_a_purpose_end_a_connection_however_they_are_cut() {
        for piece in [1, 7, 9, 1_000] {
            assert_eq!(taken(&[(PING, 8)], piece), 1_000);
            assert_eq!(taken(&[(DATA, 0)], piece), 1_000);
            assert_eq!(taken(&[(WINDOW_UPDATE, 4)], piece), 8_000);
            assert_eq!(taken(&[(HEADERS, 20), (RST_STREAM, 4)], piece), 500);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_works_goes_on() {
        assert_eq!(
            taken(&[(HEADERS, 20), (PING, 8), (WINDOW_UPDATE, 4)], 64),
            10_000
        );
        let upload = [(DATA, 100), (PING, 8)];
        assert_eq!(taken(&upload, 64), 10_000);
        let cancels_some = [(HEADERS, 20), (HEADERS, 20), (HEADERS, 20), (RST_STREAM, 4)];
        assert_eq!(taken(&cancels_some, 64), 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_time_or_reads_much_goes_on() {
        let mut ledger = Ledger::new();
        ledger.follow(&[0; PREFACE]).unwrap();
        for _ in 0..5_000 {
            tokio::time::advance(std::time::Duration::from_millis(11)).await;
            ledger.follow(&frame(PING, 8)).unwrap();
        }
        for _ in 0..50_000 {
            ledger.wrote(59);
            ledger.follow(&frame(WINDOW_UPDATE, 4)).unwrap();
        }
    }
}
