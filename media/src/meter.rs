//! What speech synthesis costs: characters, those of replies that were thrown away before they were certain apart.

use metrics::{counter, describe_counter, describe_gauge};

const CHARACTERS: &str = "trunkline_synthesized_characters_total";

/// Says of the metric what its name does not.
pub fn describe() {
    describe_gauge!(
        "trunkline_vendor_circuit_open",
        "Keys of the vendor that are not used for a while, since it failed again and again"
    );
    describe_counter!(
        CHARACTERS,
        "Characters of text given to the speech synthesizer. Those with discarded=\"true\" went into replies to turns \
         that were likely over and then were not; they are not the tenant's to pay."
    );
}

/// Counts the characters of one call. What is tentative is reported once it is known whether it was wanted; when the
/// call ends before, it was not.
#[derive(Debug, Default)]
pub struct Meter {
    /// The epoch of a reply that is not certain, and its characters so far.
    tentative: Option<(i64, u64)>,
}

impl Meter {
    /// The reply of this epoch is not certain.
    pub fn tentative(&mut self, epoch: i64) {
        self.settle(false);
        self.tentative = Some((epoch, 0));
    }

    /// This text of this epoch was given to the synthesizer.
    pub fn speaks(&mut self, epoch: i64, text: &str) {
        let count = text.chars().count() as u64;
        match &mut self.tentative {
            Some((of, sum)) if *of == epoch => *sum += count,
            _ => report(count, true),
        }
    }

    /// The reply of this epoch is certain.
    pub fn confirm(&mut self, epoch: i64) {
        if self.tentative.is_some_and(|(of, _)| of == epoch) {
            self.settle(true);
        }
    }

    /// The reply of this epoch is over.
    pub fn cancel(&mut self, epoch: i64) {
        if self.tentative.is_some_and(|(of, _)| of == epoch) {
            self.settle(false);
        }
    }

    fn settle(&mut self, is_wanted: bool) {
        if let Some((_, count)) = self.tentative.take() {
            report(count, is_wanted);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.settle(false);
    }
}

fn report(count: u64, is_wanted: bool) {
    if count > 0 {
        let discarded = if is_wanted { "false" } else { "true" };
        counter!(CHARACTERS, "discarded" => discarded).increment(count);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn what_is_thrown_away_before_it_was_certain_is_counted_apart() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let mut meter = Meter::default();
            meter.speaks(1, "12");
            meter.tentative(2);
            meter.speaks(2, "one");
            meter.cancel(1);
            meter.confirm(2);
            // Certain now, whatever becomes of it.
            meter.speaks(2, "four");
            meter.cancel(2);
            meter.tentative(3);
            meter.speaks(3, "seven");
            meter.cancel(3);
            meter.tentative(4);
            meter.speaks(4, "eleven");
        });
        let shown = recorder.handle().render();
        for (discarded, count) in [("false", 2 + 3 + 4), ("true", 5 + 6)] {
            let line = format!("{CHARACTERS}{{discarded=\"{discarded}\"}} {count}");
            assert!(shown.lines().any(|shown| shown == line), "{shown}");
        }
    }
}
