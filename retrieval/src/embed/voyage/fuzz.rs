//! Answers of the embeddings endpoint.

use super::protocol;

/// An answer about two texts in four dimensions, or the body of a refusal.
pub fn voyage(data: &[u8]) {
    if let Ok(vectors) = protocol::vectors(data, 2, 4) {
        assert_eq!(vectors.len(), 2, "a vector for each text");
        for vector in vectors {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!(vector.len() == 4 && (length - 1.0).abs() < 1e-3, "{vector:?}");
        }
    }
    assert!(protocol::detail(data).chars().count() <= 200);
    let _ = protocol::speaks_of_tokens(data);
}
