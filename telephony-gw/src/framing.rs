//! CORE. The caller's audio: any length of carrier message becomes an `AudioFrame` with its place on the call's clock.

use std::time::Duration;

use proto::{to_wire, types::v1::AudioFrame};

use crate::wire::{Format, Media};

/// A jump of the carrier's clock up to this is jitter of its timestamps, not lost audio.
const GAP_MIN: Duration = Duration::from_millis(60);
/// A jump over this cannot be silence of a stream that is still alive: the timestamp is nonsense and is ignored.
const GAP_MAX: Duration = Duration::from_secs(30);
/// What a lost stretch is counted in.
const FRAME: Duration = Duration::from_millis(20);

/// Places the caller's audio on the call's clock. Samples are handed on as they came.
#[derive(Debug)]
pub struct Inbound {
    format: Format,
    sequence: i64,
    /// Where the present media stream began on the call's clock.
    origin: Duration,
    /// Where the last sample ended on the call's clock.
    end: Duration,
    chunk: Option<u64>,
}

impl Inbound {
    /// A call that has heard nothing yet.
    pub fn new(format: Format) -> Self {
        Self { format, sequence: 0, origin: Duration::ZERO, end: Duration::ZERO, chunk: None }
    }

    /// Where the caller's audio stands.
    pub fn position(&self) -> Duration {
        self.end
    }

    /// The carrier came back with a new stream, which counts from zero again, `away` after its last audio.
    pub fn resume(&mut self, away: Duration) {
        self.skip(away);
        self.origin = self.end;
        self.chunk = None;
    }

    /// The next frame; none for a message without audio.
    pub fn frame(&mut self, media: Media) -> Option<AudioFrame> {
        if media.payload.is_empty() {
            return None;
        }
        let length = self.format.duration_of(media.payload.len() as u64);
        let gap = self.gap(&media, length);
        if gap > GAP_MIN && gap <= GAP_MAX {
            self.skip(gap);
        }
        self.chunk = media.chunk;
        let frame = AudioFrame {
            sequence: self.sequence,
            audio_offset: Some(to_wire(self.end)),
            payload: media.payload,
        };
        self.sequence += 1;
        self.end += length;
        Some(frame)
    }

    /// How much audio the carrier recorded between the last message and this one: by its clock, else by its count.
    fn gap(&self, media: &Media, length: Duration) -> Duration {
        if let Some(offset) = media.offset {
            return self.origin.saturating_add(offset).saturating_sub(self.end);
        }
        match (self.chunk, media.chunk) {
            (Some(last), Some(this)) => {
                let lost = this.saturating_sub(last).saturating_sub(1);
                length.saturating_mul(u32::try_from(lost).unwrap_or(u32::MAX))
            }
            _ => Duration::ZERO,
        }
    }

    fn skip(&mut self, lost: Duration) {
        self.sequence += i64::try_from(lost.as_millis() / FRAME.as_millis()).unwrap_or(0);
        self.end += lost;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::from_wire;

    use super::*;

    fn media(bytes: usize, chunk: Option<u64>, offset_ms: Option<u64>) -> Media {
        Media { payload: Bytes::from(vec![0xff; bytes]), chunk, offset: offset_ms.map(Duration::from_millis) }
    }

    fn place(frame: &AudioFrame) -> (i64, u128) {
        (frame.sequence, from_wire(frame.audio_offset.as_ref().unwrap()).as_millis())
    }

    #[test]
    fn any_length_is_placed_by_its_samples() {
        let mut inbound = Inbound::new(Format::MULAW_8K);
        let places: Vec<_> = [160, 80, 400, 8]
            .into_iter()
            .map(|bytes| place(&inbound.frame(media(bytes, None, None)).unwrap()))
            .collect();
        assert_eq!(places, [(0, 0), (1, 20), (2, 30), (3, 80)]);
        assert_eq!(inbound.position(), Duration::from_millis(81));
    }

    #[test]
    fn jitter_of_the_carriers_clock_is_no_gap() {
        let mut inbound = Inbound::new(Format::MULAW_8K);
        for (n, ms) in [5, 41, 44, 120].into_iter().enumerate() {
            let frame = inbound.frame(media(160, None, Some(ms))).unwrap();
            assert_eq!(place(&frame), (n as i64, n as u128 * 20));
        }
    }

    #[test]
    fn lost_audio_shows_in_sequence_and_offset() {
        let mut inbound = Inbound::new(Format::MULAW_8K);
        inbound.frame(media(160, Some(1), Some(0))).unwrap();
        assert_eq!(place(&inbound.frame(media(160, Some(7), Some(120))).unwrap()), (6, 120));
        // Without a clock the count of messages says the same.
        assert_eq!(place(&inbound.frame(media(160, Some(12), None)).unwrap()), (11, 220));
    }

    #[test]
    fn absurd_and_backward_clocks_are_ignored() {
        let mut inbound = Inbound::new(Format::MULAW_8K);
        inbound.frame(media(160, None, Some(u64::MAX))).unwrap();
        assert_eq!(place(&inbound.frame(media(160, None, Some(0))).unwrap()), (1, 20));
        assert_eq!(place(&inbound.frame(media(160, Some(u64::MAX), None)).unwrap()), (2, 40));
    }

    #[test]
    fn a_resumed_stream_goes_on_where_the_call_stands() {
        let mut inbound = Inbound::new(Format::MULAW_8K);
        inbound.frame(media(160, Some(900), Some(0))).unwrap();
        inbound.resume(Duration::from_secs(2));
        assert_eq!(place(&inbound.frame(media(160, Some(1), Some(3))).unwrap()), (101, 2020));
    }

    #[test]
    fn an_empty_message_is_no_frame() {
        let mut inbound = Inbound::new(Format::MULAW_8K);
        assert!(inbound.frame(media(0, None, None)).is_none());
    }
}
