//! The header of a WAV file.

/// G.711 mu-law.
pub(crate) const MULAW: u16 = 7;
/// Linear samples.
pub(crate) const LINEAR: u16 = 1;

/// The 44 bytes before mono audio of that format, of so many bytes a sample and bytes in all.
pub(crate) fn header(format: u16, sample_rate_hz: u32, bytes_per_sample: u16, length: u32) -> Vec<u8> {
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + length).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0");
    wav.extend(format.to_le_bytes());
    wav.extend(1u16.to_le_bytes());
    wav.extend(sample_rate_hz.to_le_bytes());
    wav.extend((sample_rate_hz * u32::from(bytes_per_sample)).to_le_bytes());
    wav.extend(bytes_per_sample.to_le_bytes());
    wav.extend((bytes_per_sample * 8).to_le_bytes());
    wav.extend(b"data");
    wav.extend(length.to_le_bytes());
    wav
}
