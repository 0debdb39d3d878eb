//! Who watches a tenant's calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{Stream, stream};
use mesh::auth::tenant_slug;
use proto::{
    telephony::v1::WatchCallsResponse,
    types::v1::{CallContext, CallEvent},
};
use tokio::sync::broadcast::{self, error::RecvError};
use tonic::Status;

/// How far a reader may fall behind.
const BEHIND_MAX: usize = 1_024;

/// The events of all calls on this node, by tenant. Tenants that nobody watches cost nothing.
#[derive(Clone, Default)]
pub struct Watchers(Arc<Mutex<HashMap<String, broadcast::Sender<WatchCallsResponse>>>>);

impl Watchers {
    /// Tells whoever watches the call's tenant.
    pub fn publish(&self, context: &CallContext, event: CallEvent) {
        let Some(slug) = tenant_slug(&context.tenant) else { return };
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = tenants.get(slug) else { return };
        let response =
            WatchCallsResponse { call_id: context.call_id.clone(), event: Some(event), lost_count: 0 };
        if sender.send(response).is_err() {
            tenants.remove(slug);
        }
    }

    /// A tenant's calls from now on. The first message is empty.
    pub fn follow(&self, slug: &str) -> WatchStream {
        let receiver = self.watch(slug);
        let first = stream::iter([Ok(WatchCallsResponse::default())]);
        let events = stream::unfold(receiver, |mut receiver| async move {
            let response = next(&mut receiver).await?;
            Some((Ok(response), receiver))
        });
        Box::pin(stream::StreamExt::chain(first, events))
    }

    fn watch(&self, slug: &str) -> broadcast::Receiver<WatchCallsResponse> {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, sender| sender.receiver_count() > 0);
        tenants.entry(slug.to_owned()).or_insert_with(|| broadcast::channel(BEHIND_MAX).0).subscribe()
    }
}

/// What one reader is told.
pub type WatchStream = std::pin::Pin<Box<dyn Stream<Item = Result<WatchCallsResponse, Status>> + Send>>;

async fn next(receiver: &mut broadcast::Receiver<WatchCallsResponse>) -> Option<WatchCallsResponse> {
    let mut lost_count = 0_i64;
    loop {
        match receiver.recv().await {
            Ok(response) => return Some(WatchCallsResponse { lost_count, ..response }),
            Err(RecvError::Lagged(count)) => {
                lost_count = lost_count.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
            }
            Err(RecvError::Closed) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn context(tenant: &str) -> CallContext {
        CallContext { call_id: "id".into(), tenant: tenant.into(), ..CallContext::default() }
    }

    #[tokio::test]
    async fn only_the_own_tenants_calls_are_told() {
        let watchers = Watchers::default();
        let mut stream = watchers.follow("acme");
        assert_eq!(stream.next().await.unwrap().unwrap(), WatchCallsResponse::default());
        watchers.publish(&context("tenants/other"), CallEvent::default());
        watchers
            .publish(&CallContext { call_id: "own".into(), ..context("tenants/acme") }, CallEvent::default());
        assert_eq!(stream.next().await.unwrap().unwrap().call_id, "own");
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_much_it_lost() {
        let watchers = Watchers::default();
        let mut stream = watchers.follow("acme");
        stream.next().await.unwrap().unwrap();
        for _ in 0..BEHIND_MAX + 7 {
            watchers.publish(&context("tenants/acme"), CallEvent::default());
        }
        assert_eq!(stream.next().await.unwrap().unwrap().lost_count, 7);
        assert_eq!(stream.next().await.unwrap().unwrap().lost_count, 0);
    }

    #[tokio::test]
    async fn a_tenant_that_nobody_watches_any_more_is_forgotten() {
        let watchers = Watchers::default();
        drop(watchers.watch("acme"));
        watchers.publish(&context("tenants/acme"), CallEvent::default());
        assert!(watchers.0.lock().unwrap().is_empty());
    }
}
