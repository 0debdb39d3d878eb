//! Speech for the rehearsals: espeak-ng at 8 kHz, mu-law and resampling.
