//! The gRPC face of the role.

use std::sync::Arc;

use mesh::{Directory, Drain, Hop, auth::Caller};
use proto::{
    dialogue::v1::{ConverseRequest, ConverseResponse, dialogue_service_server::DialogueService},
    retrieval::v1::retrieval_service_client::RetrievalServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::{
    Config,
    llm::{Breakers, LanguageModel},
    session,
    tools::Tool,
};

/// What waits to be sent on one stream: a slow reader stops the model, never grows a queue.
const RESPONSES: usize = 64;

/// `DialogueService`.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

/// What every session of the node uses.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) model: Arc<dyn LanguageModel>,
    pub(crate) directory: Directory,
    pub(crate) retrieval: RetrievalServiceClient<Hop>,
    /// Offered beside the built-in ones.
    pub(crate) tools: Vec<Arc<dyn Tool>>,
    pub(crate) drain: Drain,
    pub(crate) breakers: Arc<Breakers>,
}

impl Service {
    pub(crate) fn new(
        config: Config,
        model: Arc<dyn LanguageModel>,
        directory: Directory,
        retrieval: RetrievalServiceClient<Hop>,
        drain: Drain,
    ) -> Self {
        let breakers = Arc::default();
        Self(Arc::new(Shared { config, model, directory, retrieval, tools: Vec::new(), drain, breakers }))
    }

    pub(crate) fn add_tool(&mut self, tool: Arc<dyn Tool>) {
        Arc::make_mut(&mut self.0).tools.push(tool);
    }
}

#[tonic::async_trait]
impl DialogueService for Service {
    type ConverseStream = ReceiverStream<Result<ConverseResponse, Status>>;

    // A node that drains still opens conversations: their calls were admitted before.
    async fn converse(
        &self,
        request: Request<Streaming<ConverseRequest>>,
    ) -> Result<Response<Self::ConverseStream>, Status> {
        let caller = Caller::of(&request)?.clone();
        let (responses, receiver) = mpsc::channel(RESPONSES);
        let session = session::run(self.0.clone(), caller, request.into_inner(), responses);
        tokio::spawn(
            session.instrument(tracing::info_span!("conversation", call_id = tracing::field::Empty)),
        );
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
