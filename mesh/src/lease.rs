//! Leases of what calls share and somebody else limits, such as the streams at once that a vendor's plan allows. A call takes
//! all that it needs at its admission, or is not admitted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metrics::gauge;

/// The leases of a node. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Mutex<BTreeMap<&'static str, Share>>>);

#[derive(Debug)]
struct Share {
    limit: usize,
    taken: usize,
}

/// Of this name all leases are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("as many calls use {0} as may at once")]
pub struct Exhausted(pub &'static str);

impl Leases {
    /// None is taken. What has no limit needs no lease.
    pub fn new(limits: impl IntoIterator<Item = (&'static str, usize)>) -> Self {
        let share = |(name, limit): (&'static str, usize)| {
            gauge!("trunkline_vendor_leases_max", "vendor" => name).set(limit as f64);
            let share = Share { limit, taken: 0 };
            share.tell(name);
            (name, share)
        };
        Self(Arc::new(Mutex::new(limits.into_iter().map(share).collect())))
    }

    /// True if nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.shares().is_empty()
    }

    /// Takes one of each of these names that is limited, however often it stands there: all, or none.
    ///
    /// # Errors
    /// The first name of which all are taken.
    pub fn take(&self, names: &[String]) -> Result<Lease, Exhausted> {
        let mut shares = self.shares();
        let wanted = shares.iter().filter(|(name, _)| names.iter().any(|wanted| wanted == *name));
        if let Some((name, _)) = wanted.clone().find(|(_, share)| share.taken >= share.limit) {
            return Err(Exhausted(name));
        }
        let names: Vec<&'static str> = wanted.map(|(name, _)| *name).collect();
        for name in &names {
            if let Some(share) = shares.get_mut(name) {
                share.taken += 1;
                share.tell(name);
            }
        }
        Ok(Lease { of: self.clone(), names })
    }

    fn shares(&self) -> MutexGuard<'_, BTreeMap<&'static str, Share>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    fn tell(&self, name: &'static str) {
        gauge!("trunkline_vendor_leases", "vendor" => name).set(self.taken as f64);
    }
}

/// What one call has taken. Given back when it is dropped.
#[derive(Debug)]
pub struct Lease {
    of: Leases,
    names: Vec<&'static str>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut shares = self.of.shares();
        for name in &self.names {
            if let Some(share) = shares.get_mut(name) {
                share.taken -= 1;
                share.tell(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 4] = ["a", "b", "c", "unlimited"];

    fn names(which: &[usize]) -> Vec<String> {
        which.iter().map(|index| NAMES[*index].to_owned()).collect()
    }

    #[test]
    fn what_has_no_limit_is_not_counted() {
        let leases = Leases::default();
        assert!(leases.is_empty());
        let taken: Vec<_> = (0..9).map(|_| leases.take(&names(&[0, 3])).unwrap()).collect();
        assert_eq!(taken.len(), 9);
    }

    #[test]
    fn one_that_is_named_twice_is_taken_once() {
        let leases = Leases::new([("a", 2)]);
        let _first = leases.take(&names(&[0, 0])).unwrap();
        let second = leases.take(&names(&[0])).unwrap();
        assert_eq!(leases.take(&names(&[0])).unwrap_err(), Exhausted("a"));
        drop(second);
        assert!(leases.take(&names(&[0])).is_ok());
    }

    proptest! {
        /// Never more than the limit, never fewer than fit, and a refusal takes nothing.
        #[test]
        fn the_count_is_that_of_the_calls(
            steps in prop::collection::vec((prop::collection::vec(0..4_usize, 0..4), any::<bool>()), 0..60),
        ) {
            let limits = [1, 2, 3];
            let leases = Leases::new(NAMES.into_iter().zip(limits));
            let mut held: Vec<(Vec<usize>, Lease)> = Vec::new();
            for (which, gives_back) in steps {
                if gives_back && !held.is_empty() {
                    held.remove(0);
                    continue;
                }
                let used = |index: usize| held.iter().filter(|(which, _)| which.contains(&index)).count();
                let is_full = (0..3).find(|index| which.contains(index) && used(*index) >= limits[*index]);
                match leases.take(&names(&which)) {
                    Ok(lease) => {
                        prop_assert_eq!(is_full, None);
                        held.push((which, lease));
                    }
                    Err(Exhausted(name)) => prop_assert_eq!(is_full.map(|index| NAMES[index]), Some(name)),
                }
            }
            drop(held);
            prop_assert!(leases.shares().values().all(|share| share.taken == 0));
        }
    }
}
