//! Requests with an id: a repeat has no second effect.

use proto::{
    tenancy::v1::{
        Agent, CreateAgentRequest, PublishAgentRequest, UpdateAgentRequest,
        agent_service_server::AgentService as _,
    },
    types::v1::ErrorReason,
};
use tonic::Code;

use super::{
    bench::{ADMIN, Bench, ask, refused, refused_fields, request_id},
    realm::SECRET_MADE,
};
use crate::{
    control::{Access, Claim, Request},
    ids::TenantId,
};

pub async fn a_hundred_repeats_at_once_make_one_resource(bench: Bench) {
    let bench = std::sync::Arc::new(bench);
    let id = request_id();
    let attempts: Vec<_> = (0..100)
        .map(|_| {
            let (bench, id) = (bench.clone(), id.clone());
            tokio::spawn(async move {
                // A store that has no time at the moment is asked again, as a client would.
                loop {
                    match bench.create_agent("desk", &id).await {
                        Err(status) if status.code() == Code::Unavailable => {}
                        answer => return answer,
                    }
                }
            })
        })
        .collect();
    let mut answers = Vec::new();
    for attempt in attempts {
        answers.push(attempt.await.unwrap().unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "all get the same answer");
    let mut tx = bench.read("acme").await;
    assert_eq!(tx.agents_count().await.unwrap(), 1);
    let log = tx.audit_log("tenants/acme/agents/desk", "~", 1000).await.unwrap();
    assert_eq!(log.len(), 1, "{log:?}");
    drop(tx);

    // And a tenant, whose making has two halves: who comes between them is told to try again.
    let id = request_id();
    let attempts: Vec<_> = (0..100)
        .map(|_| {
            let (bench, id) = (bench.clone(), id.clone());
            tokio::spawn(async move { bench.create_tenant("initech", &id).await })
        })
        .collect();
    let mut secrets = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(answer) => secrets += usize::from(!answer.client_secret.is_empty()),
            Err(status) if status.code() == Code::Unavailable => {}
            Err(status) => {
                refused::<()>(Err(status), Code::Aborted, ErrorReason::RequestInProgress);
            }
        }
    }
    assert_eq!(secrets, 1);
    let made = bench.realm.changes().iter().filter(|change| *change == SECRET_MADE).count();
    assert_eq!(made, 1);
}

pub async fn a_repeat_gets_the_same_answer_and_another_request_none(bench: Bench) {
    let id = request_id();
    let made = bench.create_agent("desk", &id).await.unwrap();
    let change = |request_id: &str, greeting: &str| UpdateAgentRequest {
        agent: Some(Agent {
            name: "tenants/acme/agents/desk".into(),
            etag: made.etag.clone(),
            greeting: greeting.into(),
            ..Agent::default()
        }),
        update_mask: None,
        request_id: request_id.into(),
    };
    let changed = ask!(bench, agent_service.update_agent, ADMIN, change(&id, "Hello.")).unwrap();
    // The etag is stale by now, but this is a repeat; so is the creation, whatever has become of the agent.
    assert_eq!(ask!(bench, agent_service.update_agent, ADMIN, change(&id, "Hello.")).unwrap(), changed);
    assert_eq!(bench.create_agent("desk", &id).await.unwrap(), made);
    let other = ask!(bench, agent_service.update_agent, ADMIN, change(&id, "Goodbye."));
    refused(other, Code::InvalidArgument, ErrorReason::RequestIdReused);
    refused(bench.create_agent("other", &id).await, Code::InvalidArgument, ErrorReason::RequestIdReused);
    let publish = |request_id: &str| PublishAgentRequest {
        name: "tenants/acme/agents/desk".into(),
        request_id: request_id.into(),
        ..PublishAgentRequest::default()
    };
    let published = ask!(bench, agent_service.publish_agent, ADMIN, publish(&id)).unwrap();
    assert_eq!(ask!(bench, agent_service.publish_agent, ADMIN, publish(&id)).unwrap(), published);
    assert_eq!(refused_fields(ask!(bench, agent_service.publish_agent, ADMIN, publish("1"))), ["request_id"]);
}

pub async fn an_attempt_that_is_at_work_holds_its_id(bench: Bench) {
    let tenant = TenantId::from_slug("acme");
    let begin = || bench.store.begin(&tenant, Access::Write);
    let request = Request { method: "m", id: "1", hash: b"a" };
    let hour = 3_600_000_000;
    let mut tx = begin().await.unwrap();
    assert_eq!(tx.claim(request, hour).await.unwrap(), Claim::Ours);
    tx.commit().await.unwrap();
    let mut tx = begin().await.unwrap();
    assert_eq!(tx.claim(request, hour).await.unwrap(), Claim::Busy);
    assert_eq!(tx.claim(Request { hash: b"b", ..request }, hour).await.unwrap(), Claim::Reused);
    assert_eq!(tx.claim(Request { method: "n", ..request }, -1).await.unwrap(), Claim::Ours);
    tx.give_back(request).await.unwrap();
    assert_eq!(tx.claim(request, -1).await.unwrap(), Claim::Ours, "given back");
    assert_eq!(tx.claim(request, hour).await.unwrap(), Claim::Ours, "held for too long");
    tx.answer(request, b"done").await.unwrap();
    assert_eq!(tx.claim(request, hour).await.unwrap(), Claim::Done(b"done".to_vec()));
}

pub async fn an_effect_comes_with_its_answer_or_not_at_all(bench: Bench) {
    let tenant = TenantId::from_slug("acme");
    let request = Request { method: "m", id: "1", hash: b"a" };
    let mut tx = bench.store.begin(&tenant, Access::Write).await.unwrap();
    assert_eq!(tx.claim(request, 0).await.unwrap(), Claim::Ours);
    tx.add_agent(&crate::ids::AgentId::from_id("desk"), &crate::seed::front_desk()).await.unwrap();
    drop(tx);
    let mut tx = bench.store.begin(&tenant, Access::Write).await.unwrap();
    assert_eq!(tx.agents_count().await.unwrap(), 0);
    assert_eq!(tx.claim(request, 0).await.unwrap(), Claim::Ours);
    drop(tx);
    // A refused creation gives its id back as well: what was wrong can be set right under the same id.
    let id = request_id();
    let bad = CreateAgentRequest {
        parent: "tenants/acme".into(),
        agent_id: "desk".into(),
        agent: None,
        request_id: id.clone(),
    };
    assert_eq!(refused_fields(ask!(bench, agent_service.create_agent, ADMIN, bad)), ["agent.prompt"]);
    bench.create_agent("desk", &id).await.unwrap();
}
