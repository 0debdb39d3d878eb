//! Agents: drafts, versions, listings.

use proto::{
    tenancy::v1::{
        Agent, CreateAgentRequest, DeleteAgentRequest, GetAgentRequest, ListAgentVersionsRequest,
        ListAgentsRequest, RollBackAgentRequest, TurnSettings, UpdateAgentRequest,
        agent_service_server::AgentService as _,
    },
    types::v1::ErrorReason,
};
use tonic::{Code, Status};

use super::bench::{ADMIN, Bench, MEDIA, VIEWER, ask, refused, refused_fields, request_id};
use crate::{
    control::Access,
    ids::{AgentId, TenantId},
};

const DESK: &str = "tenants/acme/agents/desk";

async fn get(bench: &Bench, name: &str, version: i32) -> Result<Agent, Status> {
    let request = GetAgentRequest { name: name.into(), version, draft: false };
    Ok(ask!(bench, agent_service.get_agent, MEDIA, request)?.agent.unwrap())
}

async fn draft(bench: &Bench, name: &str) -> Result<Agent, Status> {
    let request = GetAgentRequest { name: name.into(), version: 0, draft: true };
    Ok(ask!(bench, agent_service.get_agent, VIEWER, request)?.agent.unwrap())
}

async fn update(bench: &Bench, agent: Agent, paths: &[&str]) -> Result<Agent, Status> {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = UpdateAgentRequest { agent: Some(agent), update_mask, request_id: String::new() };
    Ok(ask!(bench, agent_service.update_agent, ADMIN, request)?.agent.unwrap())
}

async fn greet(bench: &Bench, greeting: &str) -> Result<Agent, Status> {
    let agent = Agent { name: DESK.into(), greeting: greeting.into(), ..Agent::default() };
    update(bench, agent, &["greeting"]).await
}

async fn roll_back(bench: &Bench, version: i32) -> Result<Agent, Status> {
    let request = RollBackAgentRequest { name: DESK.into(), version, ..RollBackAgentRequest::default() };
    Ok(ask!(bench, agent_service.roll_back_agent, ADMIN, request)?.agent.unwrap())
}

pub async fn an_agent_is_drafted_published_and_rolled_back(bench: Bench) {
    let made = bench.create_agent("desk", "").await.unwrap();
    assert_eq!((made.version, made.live_version, made.name.as_str()), (0, 0, DESK));
    refused(get(&bench, DESK, 0).await, Code::FailedPrecondition, ErrorReason::AgentNotPublished);

    let first = bench.publish("desk").await.unwrap();
    assert_eq!((first.version, first.live_version, first.etag.as_str()), (1, 1, ""));
    assert_eq!(bench.publish("desk").await.unwrap(), first, "an equal draft makes no new version");

    greet(&bench, "Hello.").await.unwrap();
    assert_eq!(get(&bench, DESK, 0).await.unwrap(), first, "a draft changes nothing of what is live");
    let second = bench.publish("desk").await.unwrap();
    assert_eq!((second.version, second.greeting.as_str()), (2, "Hello."));
    assert_eq!(get(&bench, DESK, 0).await.unwrap(), second);

    let back = roll_back(&bench, 1).await.unwrap();
    assert_eq!((back.version, back.live_version, back.greeting.as_str()), (1, 1, ""));
    assert_eq!(get(&bench, DESK, 0).await.unwrap().version, 1);
    assert_eq!(draft(&bench, DESK).await.unwrap().greeting, "Hello.", "the draft stays");
    let again = bench.publish("desk").await.unwrap();
    assert_eq!(again.version, 3, "the draft is not what is live, so it is a new version");
    refused(roll_back(&bench, 9).await, Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(refused_fields(roll_back(&bench, 0).await), ["version"]);

    let request = ListAgentVersionsRequest { name: DESK.into(), ..ListAgentVersionsRequest::default() };
    let listed = ask!(bench, agent_service.list_agent_versions, VIEWER, request).unwrap().agents;
    assert_eq!(listed.iter().map(|agent| agent.version).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(listed[2].greeting, "", "a version is as it was published");
}

pub async fn an_update_changes_what_is_masked_and_nothing_of_an_older_state(bench: Bench) {
    let made = bench.create_agent("desk", "").await.unwrap();
    let turn = TurnSettings { barge_in_words_min: 3, ..made.turn.clone().unwrap() };
    let change = Agent {
        name: DESK.into(),
        etag: made.etag.clone(),
        turn: Some(turn),
        apology: "not masked".into(),
        ..Agent::default()
    };
    let changed = update(&bench, change.clone(), &["turn.barge_in_words_min"]).await.unwrap();
    assert_eq!(changed.turn.as_ref().unwrap().barge_in_words_min, 3);
    assert_eq!(changed.apology, made.apology);
    assert_ne!(changed.etag, made.etag);
    assert_eq!(changed, draft(&bench, DESK).await.unwrap());

    let status = update(&bench, change, &["turn"]).await;
    refused(status, Code::Aborted, ErrorReason::EtagMismatch);
    let stale = DeleteAgentRequest { name: DESK.into(), etag: made.etag };
    refused(ask!(bench, agent_service.delete_agent, ADMIN, stale), Code::Aborted, ErrorReason::EtagMismatch);
    let wrong = refused_fields(update(&bench, changed.clone(), &["name", "prompt", "live_version"]).await);
    assert_eq!(wrong, ["update_mask.paths[0]", "update_mask.paths[2]"]);
    // An invalid document changes nothing, however small the change.
    let bad = Agent { name: DESK.into(), language: "xx".into(), prompt: " ".into(), ..Agent::default() };
    assert_eq!(
        refused_fields(update(&bench, bad, &["language", "prompt"]).await),
        ["agent.prompt", "agent.language"]
    );
    assert_eq!(changed, draft(&bench, DESK).await.unwrap());
}

pub async fn an_agent_goes_and_its_versions_stay(bench: Bench) {
    bench.create_agent("desk", "").await.unwrap();
    let published = bench.publish("desk").await.unwrap();
    bench.bind("+12025550111", "desk").await.unwrap();
    let request = || DeleteAgentRequest { name: DESK.into(), etag: String::new() };
    let status = ask!(bench, agent_service.delete_agent, ADMIN, request());
    let status = refused(status, Code::FailedPrecondition, ErrorReason::ResourceInUse);
    let violations = tonic_types::StatusExt::get_details_precondition_failure(&status).unwrap().violations;
    assert_eq!(violations[0].subject, "tenants/acme/phoneNumbers/12025550111");

    super::numbers::give_up(&bench, "12025550111").await.unwrap();
    ask!(bench, agent_service.delete_agent, ADMIN, request()).unwrap();
    refused(get(&bench, DESK, 0).await, Code::NotFound, ErrorReason::ResourceNotFound);
    refused(draft(&bench, DESK).await, Code::NotFound, ErrorReason::ResourceNotFound);
    refused(bench.publish("desk").await, Code::NotFound, ErrorReason::ResourceNotFound);
    refused(greet(&bench, "x").await, Code::NotFound, ErrorReason::ResourceNotFound);
    refused(bench.bind("+12025550111", "desk").await, Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(get(&bench, DESK, 1).await.unwrap(), published);
    refused(bench.create_agent("desk", "").await, Code::AlreadyExists, ErrorReason::AlreadyExists);
    let request = ListAgentsRequest { parent: "tenants/acme".into(), ..ListAgentsRequest::default() };
    assert!(ask!(bench, agent_service.list_agents, VIEWER, request).unwrap().agents.is_empty());
}

pub async fn bad_requests_name_every_field(bench: Bench) {
    bench.create_agent("desk", "").await.unwrap();
    let request = |parent: &str, id: &str, request_id: &str| CreateAgentRequest {
        parent: parent.into(),
        agent_id: id.into(),
        agent: Some(Agent { language: "xx".into(), ..Agent::default() }),
        request_id: request_id.into(),
    };
    let bad = ask!(bench, agent_service.create_agent, ADMIN, request("tenants/acme", "9", ""));
    assert_eq!(refused_fields(bad), ["agent_id", "agent.prompt", "agent.language"]);
    for (parent, id, request_id, field) in [
        ("tenants/acme/agents/a", "a", "", "parent"),
        ("acme", "a", "", "parent"),
        ("tenants/acme", "a", "once", "request_id"),
    ] {
        let bad = ask!(bench, agent_service.create_agent, ADMIN, request(parent, id, request_id));
        assert_eq!(refused_fields(bad), [field]);
    }
    for name in
        ["", "desk", "tenants/acme", "tenants/acme/agents/", "tenants/acme/agents/a/b", "tenants/A/agents/a"]
    {
        assert_eq!(refused_fields(get(&bench, name, 0).await), ["name"], "{name}");
    }
    assert_eq!(refused_fields(get(&bench, DESK, -1).await), ["version"]);
    let both = GetAgentRequest { name: DESK.into(), version: 1, draft: true };
    assert_eq!(refused_fields(ask!(bench, agent_service.get_agent, VIEWER, both)), ["version"]);
    let nothing = UpdateAgentRequest::default();
    assert_eq!(refused_fields(ask!(bench, agent_service.update_agent, ADMIN, nothing)), ["agent"]);
}

pub async fn pages_are_whole_and_bound_to_their_listing(bench: Bench) {
    let ids = ["a", "a-b", "ab", "b", "c"];
    for id in ids {
        bench.create_agent(id, &request_id()).await.unwrap();
    }
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListAgentsRequest { parent: "tenants/acme".into(), page_size: 2, page_token };
        let page = ask!(bench, agent_service.list_agents, VIEWER, request).unwrap();
        assert!(page.agents.len() <= 2);
        found.extend(page.agents.into_iter().map(|agent| agent.name.rsplit('/').next().unwrap().to_owned()));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        // Not for another listing, nor changed.
        let name = "tenants/acme/agents/a".to_owned();
        let other = ListAgentVersionsRequest { name, page_size: 2, page_token: page_token.clone() };
        assert_eq!(
            refused_fields(ask!(bench, agent_service.list_agent_versions, VIEWER, other)),
            ["page_token"]
        );
        let parent = "tenants/acme".to_owned();
        let forged =
            ListAgentsRequest { parent, page_size: 2, page_token: page_token.replace('A', "B") + "A" };
        assert_eq!(refused_fields(ask!(bench, agent_service.list_agents, VIEWER, forged)), ["page_token"]);
    }
    assert_eq!(found, ids, "by name, byte for byte, on every engine");
    let negative = ListAgentsRequest { parent: "tenants/acme".into(), page_size: -1, ..Default::default() };
    assert_eq!(refused_fields(ask!(bench, agent_service.list_agents, VIEWER, negative)), ["page_size"]);
}

pub async fn a_tenant_has_as_many_agents_as_it_may_have(bench: Bench) {
    let mut tx = bench.store.begin(&TenantId::from_slug("acme"), Access::Write).await.unwrap();
    for at in 0..200 {
        tx.add_agent(&AgentId::from_id(&format!("a{at}")), &crate::seed::front_desk()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let status = bench.create_agent("desk", "").await;
    let status = refused(status, Code::ResourceExhausted, ErrorReason::QuotaExceeded);
    assert!(tonic_types::StatusExt::get_details_quota_failure(&status).is_some());
    let delete = DeleteAgentRequest { name: "tenants/acme/agents/a7".into(), etag: String::new() };
    ask!(bench, agent_service.delete_agent, ADMIN, delete).unwrap();
    bench.create_agent("desk", "").await.unwrap();
}
