//! The first message of a stream to everything that its session needs.

use std::{collections::BTreeMap, time::Duration};

use mesh::{Pii, ServiceError, auth::Caller};
use proto::{
    dialogue::v1::{ConversationStart, ConversationStarted, ConverseRequest, converse_request::Event},
    tenancy::v1::Agent,
    types::v1::{ErrorReason, ResumePosition},
};
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::{Config, prompt::Profile, service::Shared, tools::Toolbox};

/// The vendor of the language model, whose key a conversation uses.
const VENDOR: &str = "anthropic";
const START: Duration = Duration::from_secs(5);
const APOLOGY: &str = "I am sorry, something went wrong on my side.";

/// What a session works with; resolved once, so that no turn waits for a look-up.
pub(super) struct Setup {
    pub(super) call_id: String,
    pub(super) model: String,
    /// Asked where that one does not answer.
    pub(super) fallback: Option<String>,
    pub(super) key: Pii<String>,
    pub(super) profile: Profile,
    pub(super) toolbox: Toolbox,
    apology: String,
    /// Those of the agent's languages, by their tags.
    apologies: BTreeMap<String, String>,
    /// Older epochs are stale.
    pub(super) epoch_min: i64,
    resumes: bool,
}

impl Setup {
    /// What is said in this language when a reply breaks off.
    pub(super) fn apology(&self, language: &str) -> String {
        self.apologies.get(language).unwrap_or(&self.apology).clone()
    }

    /// The answer to the first message.
    pub(super) fn started(&self) -> ConversationStarted {
        let resume = self.resumes.then_some(ResumePosition {
            epoch: self.epoch_min,
            received_count: 0,
            audio_offset: None,
        });
        ConversationStarted { resume }
    }
}

/// Reads the first message, checks it and looks up the agent and the key.
pub(super) async fn open(
    shared: &Shared,
    caller: &Caller,
    requests: &mut Streaming<ConverseRequest>,
) -> Result<Setup, Status> {
    let out_of_order = || ServiceError::new(ErrorReason::StreamOrder, "the first message must be start");
    let first = tokio::time::timeout(START, requests.message())
        .await
        .map_err(|_| ServiceError::new(ErrorReason::DeadlinePassed, "start did not come in time"))??;
    let Some(Event::Start(start)) = first.and_then(|message| message.event) else {
        return Err(out_of_order().into());
    };
    let ConversationStart { call, resume } = start;
    let call = call.ok_or_else(|| ServiceError::invalid_field("start.call", "is missing"))?;
    let call_id = Uuid::parse_str(&call.call_id)
        .map_err(|_| ServiceError::invalid_field("start.call.call_id", "must be a UUID"))?
        .to_string();
    tracing::Span::current().record("call_id", &call_id);
    let tenant = caller.require_tenant("start.call.tenant", &call.tenant)?;
    if !call.agent.starts_with(&format!("tenants/{tenant}/agents/")) {
        return Err(ServiceError::invalid_field("start.call.agent", "must be an agent of the tenant").into());
    }
    let tenant = format!("tenants/{tenant}");
    let agent = shared.directory.agent(&call.agent, call.agent_version);
    let (agent, key) = tokio::try_join!(agent, shared.directory.key(&tenant, VENDOR))?;
    let languages: Vec<_> = agent.languages.iter().map(|language| language.language.clone()).collect();
    let toolbox =
        Toolbox::new(&agent.tools, &languages, &agent.transfers, &tenant, &shared.retrieval, &shared.tools);
    Ok(Setup {
        call_id,
        model: model(&shared.config, &agent)?,
        fallback: fallback(&shared.config, &agent),
        key,
        profile: profile(&shared.config, &agent, &toolbox),
        toolbox,
        apology: if agent.apology.is_empty() { APOLOGY.to_owned() } else { agent.apology.clone() },
        apologies: agent
            .languages
            .iter()
            .filter(|language| !language.apology.is_empty())
            .map(|language| (language.language.clone(), language.apology.clone()))
            .collect(),
        epoch_min: resume.as_ref().map_or(0, |resume| resume.epoch.max(0)),
        resumes: resume.is_some(),
    })
}

fn model(config: &Config, agent: &Agent) -> Result<String, ServiceError> {
    let own = agent.model.as_ref().map(|model| &model.model).filter(|model| !model.is_empty());
    config.model_override.as_ref().or(own).cloned().ok_or_else(|| {
        ServiceError::invalid_field("start.call.agent", "the agent has no model; publish one that has")
    })
}

fn fallback(config: &Config, agent: &Agent) -> Option<String> {
    let own = agent.model.as_ref().map(|model| &model.fallback).filter(|fallback| !fallback.is_empty());
    own.or(config.fallback_model.as_ref()).cloned()
}

fn profile(config: &Config, agent: &Agent, toolbox: &Toolbox) -> Profile {
    let wanted = agent.model.as_ref().and_then(|model| u32::try_from(model.max_tokens).ok());
    Profile {
        prompt: agent.prompt.clone(),
        language: if agent.language.is_empty() { "en".to_owned() } else { agent.language.clone() },
        tools: toolbox.definitions(),
        max_tokens: wanted
            .filter(|tokens| *tokens > 0)
            .map_or(config.max_tokens, |t| t.min(config.max_tokens)),
    }
}
