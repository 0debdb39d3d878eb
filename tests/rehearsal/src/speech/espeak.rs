//! espeak-ng as a process.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Error, Voice};

/// It takes about 0.1 s for a sentence; a machine under load some times that.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The samples and their rate.
pub(super) async fn run(text: &str, voice: &Voice) -> Result<(Vec<i16>, u32), Error> {
    let spoken = tokio::time::timeout(TIME_LIMIT, speak(text, voice));
    spoken.await.map_err(|_| Error::TimedOut(TIME_LIMIT))?
}

async fn speak(text: &str, voice: &Voice) -> Result<(Vec<i16>, u32), Error> {
    let mut process = Command::new("espeak-ng")
        .args(["--stdout", "--stdin", "-b", "1", "-v", &voice.name])
        .args(["-s", &voice.words_per_minute.to_string(), "-p", &voice.pitch.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(
            |error| if error.kind() == ErrorKind::NotFound { Error::NotInstalled } else { Error::Run(error) },
        )?;
    // It reads all of its input before it writes, so the two cannot block each other.
    if let Some(mut stdin) = process.stdin.take() {
        // A process that refuses its arguments closes its input: its own message says why.
        let _ = stdin.write_all(text.as_bytes()).await;
    }
    let output = process.wait_with_output().await.map_err(Error::Run)?;
    if !output.status.success() || output.stdout.is_empty() {
        return Err(Error::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    parse_wav(&output.stdout).ok_or(Error::NotWav)
}

/// Written to a pipe, the header's lengths are placeholders: the data goes to the end of the input.
fn parse_wav(bytes: &[u8]) -> Option<(Vec<i16>, u32)> {
    if bytes.get(..4)? != b"RIFF" || bytes.get(8..16)? != b"WAVEfmt " {
        return None;
    }
    let format = bytes.get(20..36)?;
    if format.get(..4)? != [1, 0, 1, 0] || format.get(14..16)? != [16, 0] {
        return None;
    }
    let rate = u32::from_le_bytes(format.get(4..8)?.try_into().ok()?);
    let fmt_bytes = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?) as usize;
    let data = 20 + fmt_bytes;
    if bytes.get(data..data + 4)? != b"data" {
        return None;
    }
    let samples = bytes.get(data + 8..)?.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    Some((samples.collect(), rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mono_16_bit_wav_is_taken() {
        let mut wav =
            b"RIFF....WAVEfmt \x10\0\0\0\x01\0\x01\0\x22\x56\0\0\x44\xac\0\0\x02\0\x10\0data\0\xf0\xff\x7f"
                .to_vec();
        wav.extend([1, 0, 255, 255, 7]);
        assert_eq!(parse_wav(&wav), Some((vec![1, -1], 22050)));
        wav[22] = 2;
        assert_eq!(parse_wav(&wav), None);
        assert_eq!(parse_wav(b"RIFF"), None);
    }
}
