//! What counts as sound: the carrier's caller hears the agent by the energy of what was played, not by what was sent.

use super::mulaw;

/// A window of 10 ms is audible from this root mean square on, about -41 dB below full scale.
pub const AUDIBLE_RMS: i32 = 300;

/// Samples of silence that end an utterance: half a second, longer than the pauses inside a reply.
pub const UTTERANCE_GAP_SAMPLES: u64 = 4_000;

const WINDOW: u64 = 80;

/// An edge of audible sound, with the sample it lies at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The first sample of an utterance that can be heard.
    Started(u64),
    /// The last one, known [`UTTERANCE_GAP_SAMPLES`] later or at a cut.
    Stopped(u64),
}

/// Listens to a sequence of mu-law bytes, one utterance after the other.
#[derive(Debug, Default)]
pub struct Ear {
    position: u64,
    energy: i64,
    loud: Option<(u64, u64)>,
    speaking: bool,
    last_audible: Option<u64>,
}

impl Ear {
    /// Hears the next byte.
    pub fn hear(&mut self, byte: u8) -> Option<Heard> {
        let sample = i32::from(mulaw::decode(byte));
        self.energy += i64::from(sample * sample);
        if sample.abs() >= AUDIBLE_RMS {
            let first = self.loud.map_or(self.position, |(first, _)| first);
            self.loud = Some((first, self.position));
        }
        self.position += 1;
        if self.position.is_multiple_of(WINDOW) { self.end_window() } else { None }
    }

    /// The sound was cut off, perhaps inside a window: what follows is another utterance.
    pub fn cut(&mut self) -> Option<Heard> {
        let samples = self.position % WINDOW;
        let energy = std::mem::take(&mut self.energy);
        if let Some((_, last)) = self.loud.take().filter(|_| self.speaking && is_audible(energy, samples)) {
            self.last_audible = Some(last);
        }
        let last = self.last_audible.filter(|_| self.speaking)?;
        self.speaking = false;
        Some(Heard::Stopped(last))
    }

    /// The last audible sample so far.
    pub fn last_audible(&self) -> Option<u64> {
        self.last_audible
    }

    fn end_window(&mut self) -> Option<Heard> {
        let audible =
            std::mem::take(&mut self.energy) >= i64::from(AUDIBLE_RMS * AUDIBLE_RMS) * WINDOW as i64;
        match self.loud.take().filter(|_| audible) {
            Some((first, last)) => {
                self.last_audible = Some(last);
                let began = !self.speaking;
                self.speaking = true;
                began.then_some(Heard::Started(first))
            }
            None => {
                let last = self.last_audible.filter(|_| self.speaking)?;
                if self.position - last < UTTERANCE_GAP_SAMPLES {
                    return None;
                }
                self.speaking = false;
                Some(Heard::Stopped(last))
            }
        }
    }
}

fn is_audible(energy: i64, samples: u64) -> bool {
    energy >= i64::from(AUDIBLE_RMS * AUDIBLE_RMS) * samples as i64
}

/// The first and the last audible sample of a recording, or its ends when nothing in it is audible.
pub fn voiced_bounds(sound: &[u8]) -> (usize, usize) {
    let mut ear = Ear::default();
    let mut first = None;
    // Windows of silence behind the end complete the last one of the sound.
    for byte in sound.iter().copied().chain(std::iter::repeat_n(mulaw::SILENCE, WINDOW as usize)) {
        if let Some(Heard::Started(sample)) = ear.hear(byte) {
            first.get_or_insert(sample as usize);
        }
    }
    let end = sound.len().saturating_sub(1);
    match (first, ear.last_audible()) {
        (Some(first), Some(last)) => (first, last as usize),
        _ => (0, end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(samples: usize) -> Vec<u8> {
        (0..samples).map(|n| mulaw::encode(if n % 8 < 4 { 4_000 } else { -4_000 })).collect()
    }

    fn listen(ear: &mut Ear, sound: &[u8]) -> Vec<Heard> {
        sound.iter().filter_map(|byte| ear.hear(*byte)).collect()
    }

    #[test]
    fn edges_are_exact_to_the_sample() {
        let mut ear = Ear::default();
        let mut sound = vec![mulaw::SILENCE; 1_003];
        sound.extend(tone(2_000));
        sound.extend(vec![mulaw::SILENCE; 5_000]);
        assert_eq!(listen(&mut ear, &sound), [Heard::Started(1_003), Heard::Stopped(3_002)]);
    }

    #[test]
    fn a_pause_inside_a_reply_does_not_split_it_but_a_cut_does() {
        let mut ear = Ear::default();
        let mut sound = tone(800);
        sound.extend(vec![mulaw::SILENCE; 3_200]);
        sound.extend(tone(833));
        assert_eq!(listen(&mut ear, &sound), [Heard::Started(0)]);
        assert_eq!(ear.cut(), Some(Heard::Stopped(4_832)));
        assert_eq!(ear.cut(), None);
        assert_eq!(listen(&mut ear, &tone(127)), [Heard::Started(4_833)]);
    }

    #[test]
    fn hiss_is_not_speech() {
        let hiss: Vec<u8> = (0..8_000).map(|n| mulaw::encode(if n % 2 == 0 { 120 } else { -120 })).collect();
        assert_eq!(listen(&mut Ear::default(), &hiss), []);
        assert_eq!(voiced_bounds(&hiss), (0, 7_999));
        assert_eq!(voiced_bounds(&[]), (0, 0));
    }

    #[test]
    fn bounds_leave_the_silent_ends_out() {
        let mut sound = vec![mulaw::SILENCE; 400];
        sound.extend(tone(1_000));
        sound.extend(vec![mulaw::SILENCE; 333]);
        assert_eq!(voiced_bounds(&sound), (400, 1_399));
    }
}
