//! MediaService.StreamCall: checks the first message, looks the agent up, and hands over to a session.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use mesh::{Pii, ServiceError, auth::Caller};
use proto::{
    media::v1::{
        StreamCallRequest, StreamCallResponse, StreamStart, media_service_server::MediaService,
        stream_call_request::Event,
    },
    tenancy::v1::{Agent, Language, ListeningFallback, VoiceFallback},
    types::v1::{CallContext, ErrorReason},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    Inner,
    audio::Format,
    session::{Session, Speaker, SttFallback, TtsFallback},
    spoken, stt, tts,
};

/// How long the first message may take.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// A second of frames, marks between them, and events: more can only wait when the gateway has stopped reading.
pub(crate) const RESPONSES: usize = 256;

/// The gRPC service of the role.
#[derive(Clone)]
pub struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl MediaService for Service {
    type StreamCallStream = Pin<Box<dyn Stream<Item = Result<StreamCallResponse, Status>> + Send>>;

    async fn stream_call(
        &self,
        request: Request<Streaming<StreamCallRequest>>,
    ) -> Result<Response<Self::StreamCallStream>, Status> {
        Caller::of(&request)?;
        let mut requests = request.into_inner();
        let first = timeout(START_TIMEOUT, requests.message())
            .await
            .map_err(|_| order("the first message did not come in 5 s"))??
            .ok_or_else(|| order("the stream ended before its first message"))?;
        let Some(Event::Start(start)) = first.event else {
            return Err(order("the first message must be start"));
        };
        let (call, format) = checked(&first.call_id, &start)?;
        let directory = &self.0.directory;
        let agent = directory.agent(&call.agent, call.agent_version).await?;
        let speakers = self.speakers(&call.tenant, &agent).await?;
        let epoch = start.resume.as_ref().map_or(0, |resume| resume.epoch);
        let (responses, receiver) = mpsc::channel(RESPONSES);
        let session = Session::open(&self.0, (call, format), &agent, speakers, epoch, responses)
            .map_err(|error| ServiceError::new(ErrorReason::ConcurrencyLimit, error.to_string()))?;
        // A local hop runs this handler in the gateway's task: the session needs one of its own.
        tokio::spawn(session.run(requests));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

impl Service {
    /// The agent's languages with their vendors and the tenant's keys.
    async fn speakers(&self, tenant: &str, agent: &Agent) -> Result<Vec<Speaker>, Status> {
        try_join_all(spoken::languages(agent).into_iter().map(|language| self.speaker(tenant, language)))
            .await
    }

    async fn speaker(&self, tenant: &str, language: Language) -> Result<Speaker, Status> {
        let listens = language.listening.as_ref().map_or("", |listening| &listening.vendor);
        let speaks = language.voice.as_ref().map_or("", |voice| &voice.vendor);
        let stt = stt::Vendor::parse(listens).ok_or_else(|| unknown("listening.vendor", listens))?;
        let tts = tts::Vendor::parse(speaks).ok_or_else(|| unknown("voice.vendor", speaks))?;
        let directory = &self.0.directory;
        let (stt_key, tts_key, stt_fallback, tts_fallback) = tokio::try_join!(
            directory.key(tenant, stt.name()),
            directory.key(tenant, tts.name()),
            self.stt_fallback(tenant, &language),
            self.tts_fallback(tenant, &language),
        )?;
        Ok(Speaker { language, stt, stt_key, tts, tts_key, stt_fallback, tts_fallback })
    }

    async fn stt_fallback(&self, tenant: &str, language: &Language) -> Result<Option<SttFallback>, Status> {
        let fallback = language.listening.as_ref().and_then(|listening| listening.fallback.as_ref());
        let Some(ListeningFallback { vendor, model }) = fallback else { return Ok(None) };
        let named = stt::Vendor::parse(vendor).ok_or_else(|| unknown("listening.fallback.vendor", vendor))?;
        let Some(key) = self.fallback_key(tenant, named.name()).await else { return Ok(None) };
        Ok(Some(SttFallback { vendor: named, key, model: model.clone() }))
    }

    async fn tts_fallback(&self, tenant: &str, language: &Language) -> Result<Option<TtsFallback>, Status> {
        let fallback = language.voice.as_ref().and_then(|voice| voice.fallback.as_ref());
        let Some(VoiceFallback { vendor, voice_id, model }) = fallback else { return Ok(None) };
        let named = tts::Vendor::parse(vendor).ok_or_else(|| unknown("voice.fallback.vendor", vendor))?;
        let Some(key) = self.fallback_key(tenant, named.name()).await else { return Ok(None) };
        Ok(Some(TtsFallback { vendor: named, key, voice_id: voice_id.clone(), model: model.clone() }))
    }

    /// A call does not fail for want of a key that it most likely does not need.
    async fn fallback_key(&self, tenant: &str, vendor: &'static str) -> Option<Pii<String>> {
        match self.0.directory.key(tenant, vendor).await {
            Ok(key) => Some(key),
            Err(status) => {
                tracing::warn!(tenant, vendor, code = ?status.code(), "no key for a fallback: the call does without");
                None
            }
        }
    }
}

/// An agent that this version cannot run: written by a newer one, or past the checks.
fn unknown(setting: &str, vendor: &str) -> Status {
    let why = format!("the agent's {setting} is {vendor:?}, which this node does not know");
    ServiceError::new(ErrorReason::ProviderKeyMissing, why).with("vendor", vendor).into()
}

fn order(why: &str) -> Status {
    ServiceError::new(ErrorReason::StreamOrder, why).into()
}

fn checked(call_id: &str, start: &StreamStart) -> Result<(CallContext, Format), Status> {
    let call = start.call.clone().ok_or_else(|| ServiceError::invalid_field("start.call", "must be set"))?;
    if uuid::Uuid::parse_str(&call.call_id).is_err() {
        return Err(ServiceError::invalid_field("start.call.call_id", "must be a UUID").into());
    }
    if call.call_id != call_id {
        return Err(ServiceError::invalid_field("call_id", "must equal start.call.call_id").into());
    }
    if !call.agent.strip_prefix(&call.tenant).is_some_and(|rest| rest.starts_with("/agents/")) {
        return Err(
            ServiceError::invalid_field("start.call.agent", "must belong to start.call.tenant").into()
        );
    }
    let format = Format::of(&start.format.unwrap_or_default()).ok_or_else(|| {
        let allowed = "must be mu-law at 8000 Hz, or PCM at 8000, 16000 or 24000 Hz";
        ServiceError::invalid_field("start.format", allowed)
    })?;
    Ok((call, format))
}
