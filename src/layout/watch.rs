//! What the operator of the tenant `demo` sees of a layout: its documents and its calls.

use std::time::Duration;

use mesh::{ClientStack, Hop, auth::Contract};
use proto::{
    retrieval::v1::{ListDocumentsRequest, document_service_client::DocumentServiceClient},
    telephony::v1::{WatchCallsRequest, WatchCallsResponse, call_service_client::CallServiceClient},
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
