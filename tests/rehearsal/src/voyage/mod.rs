//! The embeddings API of Voyage, rehearsed.
