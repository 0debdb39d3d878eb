//! Where the sound is, and which word it is.

use super::Word;

/// Below this mean amplitude a block is silence: espeak-ng's voice is some thousands, its silence zero.
const SILENCE: u32 = 40;
/// Blocks of 10 ms.
const BLOCKS_PER_SECOND: u32 = 100;
/// Shorter gaps are the closures of p, t and k, not pauses.
const PAUSE_BLOCKS: usize = 12;

/// The sound without the silence before and after it.
pub(super) fn trim(samples: &[i16], rate: u32) -> &[i16] {
    let block = (rate / BLOCKS_PER_SECOND) as usize;
    let loud = loud_blocks(samples, block);
    let (Some(first), Some(last)) = (loud.iter().position(|loud| *loud), loud.iter().rposition(|loud| *loud))
    else {
        return &[];
    };
    &samples[first * block..((last + 1) * block).min(samples.len())]
}

/// The words of `text` and when each is heard in `samples`; see [`Word`].
pub(crate) fn words(text: &str, samples: &[i16], rate: u32) -> Vec<Word> {
    let block = (rate / BLOCKS_PER_SECOND) as usize;
    let islands = islands(&loud_blocks(samples, block));
    let all: Vec<&str> = text.split_whitespace().collect();
    let clauses = clauses(&all);
    if clauses.len() == islands.len() {
        return clauses
            .iter()
            .zip(&islands)
            .flat_map(|(words, island)| spread(words, std::slice::from_ref(island)))
            .collect();
    }
    spread(&all, &islands)
}

fn loud_blocks(samples: &[i16], block: usize) -> Vec<bool> {
    samples
        .chunks(block)
        .map(|block| {
            block.iter().map(|s| u32::from(s.unsigned_abs())).sum::<u32>() / block.len() as u32 >= SILENCE
        })
        .collect()
}

/// Stretches of sound between pauses: first block and the block after the last.
fn islands(loud: &[bool]) -> Vec<(usize, usize)> {
    let mut islands: Vec<(usize, usize)> = Vec::new();
    for (index, _) in loud.iter().enumerate().filter(|(_, loud)| **loud) {
        match islands.last_mut() {
            Some((_, end)) if index - *end < PAUSE_BLOCKS => *end = index + 1,
            _ => islands.push((index, index + 1)),
        }
    }
    islands
}

/// Words up to and with one that ends in punctuation.
fn clauses<'a>(words: &[&'a str]) -> Vec<Vec<&'a str>> {
    words
        .split_inclusive(|word| word.ends_with(['.', ',', ';', ':', '!', '?', '।']))
        .filter(|clause| clause.iter().any(|word| word.chars().any(char::is_alphanumeric)))
        .map(<[&str]>::to_vec)
        .collect()
}

/// Shares the sound of the islands among the words by their length.
fn spread(words: &[&str], islands: &[(usize, usize)]) -> Vec<Word> {
    let sound: usize = islands.iter().map(|(start, end)| end - start).sum();
    let total: usize = words.iter().map(|word| weight(word)).sum();
    let mut passed = 0;
    words
        .iter()
        .map(|word| {
            let start = place(passed as f64 / total as f64 * sound as f64, islands, false);
            passed += weight(word);
            let end = place(passed as f64 / total as f64 * sound as f64, islands, true);
            Word { text: (*word).to_owned(), start, end }
        })
        .collect()
}

/// Digits are read out: `5` takes as long as `five`.
fn weight(word: &str) -> usize {
    1 + word
        .chars()
        .map(|c| if c.is_ascii_digit() { 4 } else { usize::from(c.is_alphanumeric()) })
        .sum::<usize>()
}

/// Seconds at which `sound` blocks of sound have been heard; on a pause's edge, before it (`end`) or after it.
fn place(mut sound: f64, islands: &[(usize, usize)], end: bool) -> f64 {
    let mut last = 0;
    for (from, to) in islands {
        let length = (to - from) as f64;
        // The sums of shares are not exact: a hundredth of a block is no position in the next island.
        if sound < length - 0.01 || (end && sound < length + 0.01) {
            return (*from as f64 + sound.min(length)) / f64::from(BLOCKS_PER_SECOND);
        }
        sound -= length;
        last = *to;
    }
    last as f64 / f64::from(BLOCKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(seconds: f64) -> Vec<i16> {
        (0..(seconds * 8000.0) as usize).map(|n| if n % 2 == 0 { 5000 } else { -5000 }).collect()
    }

    fn silence(seconds: f64) -> Vec<i16> {
        vec![0; (seconds * 8000.0) as usize]
    }

    #[test]
    fn silence_at_both_ends_goes() {
        let samples = [silence(0.2), sound(1.0), silence(0.5)].concat();
        assert_eq!(trim(&samples, 8000).len(), 8000);
        assert!(trim(&silence(1.0), 8000).is_empty());
    }

    #[test]
    fn pauses_are_laid_onto_punctuation() {
        let samples = [sound(0.5), silence(0.3), sound(1.2)].concat();
        let words = words("Yes, of course.", &samples, 8000);
        let times: Vec<(f64, f64)> = words.iter().map(|word| (word.start, word.end)).collect();
        assert_eq!(times[0], (0.0, 0.5));
        assert!((times[1].0 - 0.8).abs() < 1e-9 && (times[2].1 - 2.0).abs() < 1e-9, "{times:?}");
    }

    #[test]
    fn times_rise_and_no_word_lies_outside_the_sound() {
        let samples = [sound(0.7), silence(0.2), sound(0.9)].concat();
        let words = words("one two three four, five six, seven", &samples, 8000);
        assert_eq!(words.len(), 7);
        assert!(words.windows(2).all(|pair| pair[0].end <= pair[1].start + 1e-9));
        assert!(words.iter().all(|word| word.start < word.end && word.end <= 1.8 + 1e-9));
    }
}
