//! What JetStream remembers. Whoever asks only looks: a stream that is missing remembers nothing,
//! and is made by whoever publishes, with the settings that are the publisher's.

use async_nats::{
    connection::State,
    jetstream::{
        ErrorCode,
        context::GetStreamErrorKind,
        stream::{RawMessageErrorKind, Stream},
    },
};
use contracts::Recorded;

use super::{MAX_IN_FLIGHT, NatsBus};
use crate::{BusError, message::decode};

/// A stored message.
enum Stored {
    Event(Box<Recorded>),
    /// It aged out, or is none of ours and says nothing about events.
    Nothing,
}

impl NatsBus {
    /// The stream as it is now, if there is one.
    async fn look(&self) -> Result<Option<Stream>, BusError> {
        if self.client.connection_state() != State::Connected {
            return Err(BusError::Unavailable("not connected".to_owned()));
        }
        match self.jetstream.get_stream(&self.options.stream).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(told)
                    if told.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(None)
                }
                _ => {
                    let name = &self.options.stream;
                    Err(BusError::Unavailable(format!("stream {name}: {error}")))
                }
            },
        }
    }

    pub(super) async fn newest_stored(&self) -> Result<Option<Recorded>, BusError> {
        let Some(stream) = self.look().await? else {
            return Ok(None);
        };
        let state = &stream.cached_info().state;
        if state.messages == 0 {
            return Ok(None);
        }
        // What is none of ours may lie behind it.
        let backward = (state.first_sequence..=state.last_sequence).rev();
        for sequence in backward.take(MAX_IN_FLIGHT) {
            if let Stored::Event(event) = stored(&stream, sequence).await? {
                return Ok(Some(*event));
            }
        }
        Ok(None)
    }

    /// Events of the positions `after + 1..=until`. The stream's order is that of publishing: runs of
    /// ascending positions, of which each begins at or below the end of the one before. What was
    /// repeated stands behind its successors, by what was in flight at most.
    pub(super) async fn stored_between(
        &self,
        after: i64,
        until: i64,
    ) -> Result<Vec<Recorded>, BusError> {
        let mut found = Vec::new();
        let Some(stream) = self.look().await? else {
            return Ok(found);
        };
        let state = &stream.cached_info().state;
        if state.messages == 0 {
            return Ok(found);
        }
        let (first, last) = (state.first_sequence, state.last_sequence);
        let in_flight = u64::try_from(MAX_IN_FLIGHT).unwrap_or(u64::MAX);
        let begin = beginning(&stream, first, last, after).await?;
        let mut beyond = 0;
        for sequence in begin.saturating_sub(in_flight).max(first)..=last {
            let Stored::Event(event) = stored(&stream, sequence).await? else {
                continue;
            };
            if event.position > until {
                beyond += 1;
                if beyond > in_flight {
                    break;
                }
            } else {
                beyond = 0;
                if event.position > after {
                    found.push(*event);
                }
            }
        }
        Ok(found)
    }

    pub(super) async fn forget_stored(&self) -> Result<(), BusError> {
        let Some(stream) = self.look().await? else {
            return Ok(());
        };
        let purged = stream.purge().await;
        purged
            .map(|_| ())
            .map_err(|error| BusError::Unavailable(error.to_string()))
    }
}

/// By bisection, a sequence that begins what lies above the position `after`.
async fn beginning(stream: &Stream, first: u64, last: u64, after: i64) -> Result<u64, BusError> {
    let (mut low, mut high) = (first, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        // What cannot be read says nothing; the next one that can speaks for it.
        let mut at = middle;
        let event = loop {
            if at == high {
                break None;
            }
            match stored(stream, at).await? {
                Stored::Event(event) => break Some(event),
                Stored::Nothing => at += 1,
            }
        };
        match event {
            Some(event) if event.position <= after => low = at + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

async fn stored(stream: &Stream, sequence: u64) -> Result<Stored, BusError> {
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(decode(&message.payload)
            .map_or(Stored::Nothing, |event| Stored::Event(Box::new(event)))),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(Stored::Nothing),
        Err(error) => Err(BusError::Unavailable(error.to_string())),
    }
}
