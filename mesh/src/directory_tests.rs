use super::*;

#[test]
fn the_oldest_goes_when_it_is_full() {
    let (cache, start) = (Cache::new(2), clock::now());
    for (age, key) in ["a", "b", "b", "c"].into_iter().enumerate() {
        cache.insert(key, age, start + Duration::from_secs(age as u64));
    }
    assert_eq!(["a", "b", "c"].map(|key| cache.get(&key).map(|(age, _)| age)), [None, Some(2), Some(3)]);
}
