//! What the operator of the tenant `demo` sees of a layout and does with it: documents, calls and the agent.

use std::time::Duration;

use mesh::{ClientStack, Hop, auth::Contract};
use proto::{
    retrieval::v1::{ListDocumentsRequest, document_service_client::DocumentServiceClient},
    telephony::v1::{WatchCallsRequest, WatchCallsResponse, call_service_client::CallServiceClient},
    tenancy::v1::{Agent, PublishAgentRequest, UpdateAgentRequest, agent_service_client::AgentServiceClient},
};
use tonic::{Request, Status, metadata::MetadataValue};
use url::Url;

use super::Layout;
use crate::{
    commands::token,
    exit::{Exit, chain},
};

/// How long the documents may take to be embedded.
const DOCUMENTS_TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than any demo or test.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// The events of all calls of the tenant.
pub type Events = tonic::Streaming<WatchCallsResponse>;

impl Layout {
    /// Waits until all of the demo's documents can be searched.
    ///
    /// # Errors
    /// 69 if they cannot be listed, or are not all there in 20 s.
    pub async fn documents_ready(&self) -> Result<(), Exit> {
        let mut client = DocumentServiceClient::new(hop(&self.retrieval)?);
        let wanted = retrieval::demo_documents().len();
        let all_there = async {
            loop {
                let list = ListDocumentsRequest { parent: "tenants/demo".into(), ..Default::default() };
                let found = client.list_documents(self.authorised(list)?).await;
                let found = found.map_err(|status| Exit::unavailable(format!("documents: {status}")))?;
                if found.into_inner().documents.len() >= wanted {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(DOCUMENTS_TIMEOUT, all_there)
            .await
            .map_err(|_| Exit::unavailable("the demo's documents were not embedded in 20 s"))?
    }

    /// Publishes the demo's agent with the fields that are set here, in place of its own.
    ///
    /// # Errors
    /// 70 if that is refused.
    pub async fn change_agent(&self, fields: Agent) -> Result<(), Exit> {
        let mut client = AgentServiceClient::new(hop(&self.tenancy)?);
        let refused = |status: Status| Exit::internal(format!("the agent cannot be changed: {status}"));
        let name = "tenants/demo/agents/front-desk".to_owned();
        let agent = Some(Agent { name: name.clone(), ..fields });
        let update = UpdateAgentRequest { agent, ..Default::default() };
        client.update_agent(self.authorised(update)?).await.map_err(refused)?;
        let publish = PublishAgentRequest { name, ..Default::default() };
        client.publish_agent(self.authorised(publish)?).await.map_err(refused)?;
        Ok(())
    }

    /// Watches the calls. The watch is in place when this returns.
    ///
    /// # Errors
    /// 70 if the gateway refuses it.
    pub async fn watch(&self) -> Result<Events, Exit> {
        let mut client = CallServiceClient::new(hop(&self.gateway)?);
        let request = WatchCallsRequest { parent: "tenants/demo".into() };
        let refused = |status: Status| Exit::internal(format!("the calls cannot be watched: {status}"));
        let mut events = client.watch_calls(self.authorised(request)?).await.map_err(refused)?.into_inner();
        // The first message says that the watch is in place.
        events.message().await.map_err(refused)?;
        Ok(events)
    }

    /// A request with a token of the tenant's operator.
    fn authorised<T>(&self, message: T) -> Result<Request<T>, Exit> {
        let token = token::mint(&self.issuer, Some("demo"), "tenant-operator", TOKEN_LIFE)?;
        let mut request = Request::new(message);
        let value = MetadataValue::try_from(format!("Bearer {token}")).map_err(Exit::internal)?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

fn hop(url: &Url) -> Result<Hop, Exit> {
    let contract = Contract::load().map_err(Exit::internal)?;
    mesh::hop::remote(url, None, &ClientStack::new(contract.into(), None))
        .map_err(|error| Exit::internal(chain(&error)))
}
