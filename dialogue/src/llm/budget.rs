//! How many requests may be made beside slow ones: a vendor that slows for everybody must not get twice the load for it.

/// Second requests, in tenths.
const FULL: u32 = 10 * SECOND;
const SECOND: u32 = 10;

/// A budget of second requests, 10 when full, into which each first request pays a tenth.
#[derive(Debug)]
pub struct Budget {
    tenths: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { tenths: FULL }
    }
}

impl Budget {
    /// A first request is made.
    pub fn asked(&mut self) {
        self.tenths = FULL.min(self.tenths + 1);
    }

    /// True if a second one may be made, which is then paid for.
    pub fn spend(&mut self) -> bool {
        let rest = self.tenths.checked_sub(SECOND);
        self.tenths = rest.unwrap_or(self.tenths);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_requests_may_be_made_twice() {
        let mut budget = Budget::default();
        let second = |budget: &mut Budget| {
            budget.asked();
            budget.spend()
        };
        let made = (0..1_000).filter(|_| second(&mut budget)).count();
        assert!((109..=110).contains(&made), "10 at first, then every tenth: {made}");
    }

    #[test]
    fn what_is_not_spent_is_kept_up_to_ten() {
        let mut budget = Budget::default();
        (0..1_000).for_each(|_| budget.asked());
        assert_eq!((0..99).filter(|_| budget.spend()).count(), 10);
        (0..9).for_each(|_| budget.asked());
        assert!(!budget.spend());
        budget.asked();
        assert!(budget.spend() && !budget.spend());
    }
}
