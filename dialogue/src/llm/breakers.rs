//! The circuit breakers of the models: one for each model and key, shared by all conversations of the node.

use std::hash::{DefaultHasher, Hash, Hasher};

use mesh::{circuit::Circuits, clock};

use super::{Completion, Failure, FailureKind};

/// Which models are asked.
#[derive(Debug, Default)]
pub struct Breakers(Circuits<(String, u64)>);

impl Breakers {
    /// A model that failed in the requests before is not asked.
    ///
    /// # Errors
    /// What its answer would have been.
    pub fn check(&self, completion: &Completion) -> Result<(), Failure> {
        if self.0.lets_through(&key(completion), clock::now()) {
            return Ok(());
        }
        let detail = "the model was not asked, since it failed in the requests before".to_owned();
        Err(Failure { kind: FailureKind::Transient(None), detail })
    }

    /// The model answers.
    pub fn succeeded(&self, completion: &Completion) {
        if self.0.succeeded(&key(completion)) {
            tracing::info!(model = completion.model, "the model is asked again");
            metrics::gauge!("trunkline_vendor_circuit_open", "vendor" => "anthropic").decrement(1.0);
        }
    }

    /// The model does not answer, whoever asks it.
    pub fn failed(&self, completion: &Completion, failure: &Failure) {
        let is_models_own = matches!(failure.kind, FailureKind::Transient(_) | FailureKind::TooSlow);
        if is_models_own && self.0.failed(key(completion), clock::now()) {
            tracing::warn!(model = completion.model, "the model is not asked for a while");
            metrics::gauge!("trunkline_vendor_circuit_open", "vendor" => "anthropic").increment(1.0);
        }
    }
}

fn key(completion: &Completion) -> (String, u64) {
    let mut hasher = DefaultHasher::new();
    completion.key.expose().hash(&mut hasher);
    (completion.model.clone(), hasher.finish())
}
