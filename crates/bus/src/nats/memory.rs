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

use super::NatsBus;
use crate::{
    BusError,
    message::decode,
    remembering::{Gathering, MAX_IN_FLIGHT, Memorized, Stored, beginning},
};

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
            if let Stored::Event(event) = stream.stored(sequence).await? {
                return Ok(Some(*event));
            }
        }
        Ok(None)
    }

    /// Events of the positions `after + 1..=until`.
    pub(super) async fn stored_between(
        &self,
        after: i64,
        until: i64,
    ) -> Result<Vec<Recorded>, BusError> {
        let mut gathering = Gathering::new(after, until);
        let Some(stream) = self.look().await? else {
            return Ok(Vec::new());
        };
        let state = &stream.cached_info().state;
        if state.messages == 0 {
            return Ok(Vec::new());
        }
        let (first, end) = (state.first_sequence, state.last_sequence + 1);
        for sequence in beginning(&stream, first, end, after).await?..end {
            if let Stored::Event(event) = stream.stored(sequence).await?
                && !gathering.take(*event)
            {
                break;
            }
        }
        Ok(gathering.found())
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

impl Memorized for Stream {
    async fn stored(&self, sequence: u64) -> Result<Stored, BusError> {
        match self.get_raw_message(sequence).await {
            Ok(message) => Ok(decode(&message.payload)
                .map_or(Stored::Nothing, |event| Stored::Event(Box::new(event)))),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                Ok(Stored::Nothing)
            }
            Err(error) => Err(BusError::Unavailable(error.to_string())),
        }
    }
}
