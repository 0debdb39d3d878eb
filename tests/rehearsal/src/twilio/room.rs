//! What the caller's microphone picks up besides the caller: the agent's own voice out of the loudspeaker, and noise.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::mulaw::{self, FRAME_SAMPLES};

/// Uniform numbers whose sum is normal enough.
const DRAWS: usize = 4;

/// Where the caller stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Room {
    pub echo: Option<Echo>,
    /// The level of the noise in dB of full scale.
    pub noise_db: Option<f32>,
}

/// The agent's voice coming back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Echo {
    /// How much weaker it is than it was sent, in dB; from 0.
    pub loss_db: f32,
    /// How much later it comes; at least a frame.
    pub delay: Duration,
}

/// Adds the room to the caller's frames.
#[derive(Debug)]
pub struct Microphone {
    room: Room,
    dice: StdRng,
}

impl Microphone {
    /// The same seed gives the same noise.
    pub fn new(room: Room, seed: u64) -> Self {
        Self { room, dice: StdRng::seed_from_u64(seed) }
    }

    /// Where the echo in a frame that begins at `sample` was played; `None` without an echo, or before there was any.
    pub fn echo_from(&self, sample: usize) -> Option<usize> {
        sample.checked_sub(super::playout::samples_at(self.room.echo?.delay))
    }

    /// Adds the noise, and the echo of what was played.
    pub fn add(&mut self, frame: &mut [u8; FRAME_SAMPLES], played: &[u8]) {
        if self.room == Room::default() {
            return;
        }
        let gain = self.room.echo.map_or(0.0, |echo| amplitude(-echo.loss_db));
        // A uniform number of -1..1 has a mean square of a third.
        let noise =
            self.room.noise_db.map_or(0.0, |db| amplitude(db) * 32_768.0 * (3.0 / DRAWS as f32).sqrt());
        for (index, byte) in frame.iter_mut().enumerate() {
            let echo = played.get(index).map_or(0.0, |byte| gain * f32::from(mulaw::decode(*byte)));
            let hiss: f32 = (0..DRAWS).map(|_| self.dice.random_range(-1.0..1.0)).sum();
            let sum = f32::from(mulaw::decode(*byte)) + echo + noise * hiss;
            *byte = mulaw::encode(sum.round() as i16);
        }
    }
}

fn amplitude(db: f32) -> f32 {
    10_f32.powf(db / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_db(frame: &[u8]) -> f64 {
        let square = |byte: &u8| f64::from(mulaw::decode(*byte)).powi(2);
        10.0 * (frame.iter().map(square).sum::<f64>() / frame.len() as f64 / 32_768_f64.powi(2)).log10()
    }

    #[test]
    fn an_echo_is_what_was_played_and_weaker() {
        let echo = Echo { loss_db: 20.0, delay: Duration::from_millis(100) };
        let mut microphone = Microphone::new(Room { echo: Some(echo), noise_db: None }, 1);
        assert_eq!((microphone.echo_from(799), microphone.echo_from(1_000)), (None, Some(200)));
        let played = [mulaw::encode(10_000); FRAME_SAMPLES];
        let mut frame = [mulaw::SILENCE; FRAME_SAMPLES];
        microphone.add(&mut frame, &played);
        assert!((level_db(&frame) - level_db(&played) + 20.0).abs() < 0.3, "{}", level_db(&frame));
    }

    #[test]
    fn noise_has_its_level_and_a_plain_room_changes_nothing() {
        let mut noisy = Microphone::new(Room { echo: None, noise_db: Some(-50.0) }, 1);
        let mut sound = Vec::new();
        for _ in 0..50 {
            let mut frame = [mulaw::SILENCE; FRAME_SAMPLES];
            noisy.add(&mut frame, &[]);
            sound.extend_from_slice(&frame);
        }
        assert!((level_db(&sound) + 50.0).abs() < 0.5, "{}", level_db(&sound));
        let mut frame = [0x00; FRAME_SAMPLES];
        Microphone::new(Room::default(), 1).add(&mut frame, &[0x80; FRAME_SAMPLES]);
        assert_eq!(frame, [0x00; FRAME_SAMPLES]);
    }
}
