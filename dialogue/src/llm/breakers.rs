//! The circuit breakers of the models, one for each model and key, and the budget of second requests: shared by all
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
    circuits: Circuits<(String, u64)>,
    seconds: Mutex<Budget>,
}

impl Breakers {
    /// A model that failed in the requests before is not asked.
    ///
    /// # Errors
    /// What its answer would have been.
    pub fn check(&self, completion: &Completion) -> Result<(), Failure> {
        if self.circuits.lets_through(&key(completion), clock::now()) {
            return Ok(());
        }
        let detail = "the model was not asked, since it failed in the requests before".to_owned();
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
    pub fn succeeded(&self, completion: &Completion) {
        if self.circuits.succeeded(&key(completion)) {
            tracing::info!(model = completion.model, "the model is asked again");
            metrics::gauge!("trunkline_vendor_circuit_open", "vendor" => "anthropic").decrement(1.0);
        }
    }

    /// The model does not answer, whoever asks it.
    pub fn failed(&self, completion: &Completion, failure: &Failure) {
        let is_models_own = matches!(failure.kind, FailureKind::Transient(_) | FailureKind::TooSlow);
        if is_models_own && self.circuits.failed(key(completion), clock::now()) {
            tracing::warn!(model = completion.model, "the model is not asked for a while");
            metrics::gauge!("trunkline_vendor_circuit_open", "vendor" => "anthropic").increment(1.0);
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(completion: &Completion) -> (String, u64) {
    let mut hasher = DefaultHasher::new();
    completion.key.expose().hash(&mut hasher);
    (completion.model.clone(), hasher.finish())
}
