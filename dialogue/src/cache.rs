//! A bounded memory of look-ups.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Keeps the newest look-ups; the oldest goes when it is full.
pub(crate) struct Cache<K, V> {
    entries: Mutex<BTreeMap<K, (V, Instant)>>,
    capacity: usize,
}

impl<K: Ord + Clone, V: Clone> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: Mutex::default(), capacity }
    }

    /// What is known, and since when.
    pub(crate) fn get(&self, key: &K) -> Option<(V, Instant)> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(crate) fn insert(&self, key: K, value: V, now: Instant) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            let oldest = entries.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        entries.insert(key, (value, now));
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;
    use std::time::Duration;

    #[test]
    fn the_oldest_goes_when_it_is_full() {
        let (cache, start) = (Cache::new(2), mesh::clock::now());
        for (age, key) in ["a", "b", "b", "c"].into_iter().enumerate() {
            cache.insert(key, age, start + Duration::from_secs(age as u64));
        }
        assert_eq!(["a", "b", "c"].map(|key| cache.get(&key).map(|(age, _)| age)), [None, Some(2), Some(3)]);
    }
}
