//! The weights that are compiled into the program; `scripts/derive_silero_weights.py` describes their layout.

const FILE: &[u8] = include_bytes!("../../../data/silero_v5_8k.bin");
const MAGIC: &[u8] = b"SILERO8K";
const TABLE: usize = 8 + 64 + 32;
const ENTRY: usize = 32 + 3 * 4;

/// The values of one tensor, row major.
///
/// # Panics
/// When the compiled-in file has no such tensor: the two must be changed together.
pub(super) fn tensor(name: &str, dimensions: [usize; 3]) -> Vec<f32> {
    assert!(FILE.starts_with(MAGIC), "silero_v5_8k.bin does not start with its magic");
    let count = number(&FILE[TABLE..]);
    let mut start = TABLE + 4 + count * ENTRY;
    for entry in FILE[TABLE + 4..start].chunks_exact(ENTRY) {
        let shape: [usize; 3] = std::array::from_fn(|i| number(&entry[32 + 4 * i..]));
        let bytes = 4 * shape.iter().product::<usize>();
        if entry[..32].strip_prefix(name.as_bytes()).is_some_and(|rest| rest.iter().all(|&b| b == 0)) {
            assert_eq!(shape, dimensions, "the shape of {name}");
            return floats(&FILE[start..start + bytes]);
        }
        start += bytes;
    }
    panic!("silero_v5_8k.bin has no tensor {name}")
}

fn number(bytes: &[u8]) -> usize {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
