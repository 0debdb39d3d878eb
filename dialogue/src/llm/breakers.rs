//! The circuit breakers of the models, one for each model, key and patience, and the budget of second requests: shared by all
//! conversations of the node.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use mesh::{circuit::Circuits, clock};

use super::{Completion, Failure, FailureKind, budget::Budget};

/// Which models are asked, and how often at once.
#[derive(Debug, Default)]
pub struct Breakers {
    circuits: Circuits<(String, u64, bool)>,
    seconds: Mutex<Budget>,
}

impl Breakers {
    /// A model that failed in the calls before is not asked. `is_last`: nobody stands in for it, here and below; those who wait
    /// less for it, because somebody does, tell nothing to those who wait.
    ///
    /// # Errors
    /// What its answer would have been.
    pub fn check(&self, completion: &Completion, is_last: bool) -> Result<(), Failure> {
        if self.circuits.lets_through(&key(completion, is_last), &completion.call_id, clock::now()) {
            return Ok(());
        }
        let detail = "the model was not asked, since it failed in the calls before".to_owned();
        Err(Failure { kind: FailureKind::Transient(None), detail })
    }

    /// A model is asked.
    pub fn asked(&self) {
        self.budget().asked();
    }

    /// True if a model that is slow may be asked a second time beside the first, which is then counted.
    pub fn allow_second(&self, completion: &Completion) -> bool {
        let is_allowed = self.budget().spend();
        if is_allowed {
            tracing::info!(
                model = completion.model,
                "asking the model a second time, beside a request that hangs"
            );
            metrics::counter!("trunkline_model_second_requests_total").increment(1);
        }
        is_allowed
    }

    /// The model answers.
    pub fn succeeded(&self, completion: &Completion, is_last: bool) {
        if self.circuits.succeeded(&key(completion, is_last)) {
            tracing::info!(model = completion.model, "the model is asked again");
            metrics::gauge!("trunkline_vendor_circuit_open", "vendor" => "anthropic").decrement(1.0);
        }
    }

    /// The model does not answer, whoever asks it.
    pub fn failed(&self, completion: &Completion, is_last: bool, kind: FailureKind) {
        let is_models_own = matches!(kind, FailureKind::Transient(_) | FailureKind::TooSlow);
        let key = key(completion, is_last);
        if is_models_own && self.circuits.failed(key, &completion.call_id, clock::now()) {
            tracing::warn!(model = completion.model, "the model is not asked for a while");
            metrics::gauge!("trunkline_vendor_circuit_open", "vendor" => "anthropic").increment(1.0);
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(completion: &Completion, is_last: bool) -> (String, u64, bool) {
    let mut hasher = DefaultHasher::new();
    completion.key.expose().hash(&mut hasher);
    (completion.model.clone(), hasher.finish(), is_last)
}
