//! Numbers, and where they lead.

use proto::{
    tenancy::v1::{
        CreatePhoneNumberRequest, DeletePhoneNumberRequest, DeletePhoneNumberResponse, GetAgentRequest,
        GetPhoneNumberRequest, GetProviderKeysRequest, ListPhoneNumbersRequest, PhoneNumber,
        ResolveNumberRequest, RollBackAgentRequest, UpdatePhoneNumberRequest,
        agent_service_server::AgentService as _, phone_number_service_server::PhoneNumberService as _,
        routing_service_server::RoutingService as _,
    },
    types::v1::{Carrier, ErrorReason},
};
use tonic::{Code, Status};

use super::bench::{ADMIN, Bench, GATEWAY, MEDIA, STRANGER, VIEWER, ask, refused, refused_fields};

const NUMBER: &str = "+12025550111";
const NAME: &str = "tenants/acme/phoneNumbers/12025550111";

pub async fn give_up(bench: &Bench, digits: &str) -> Result<DeletePhoneNumberResponse, Status> {
    let name = format!("tenants/acme/phoneNumbers/{digits}");
    let request = DeletePhoneNumberRequest { name, etag: String::new() };
    ask!(bench, phone_number_service.delete_phone_number, ADMIN, request)
}

pub async fn a_number_has_one_owner_on_the_whole_platform(bench: Bench) {
    bench.create_agent("desk", "").await.unwrap();
    let bound = bench.bind(NUMBER, "desk").await.unwrap();
    assert_eq!((bound.name.as_str(), bound.number.as_str()), (NAME, NUMBER));
    refused(bench.bind(NUMBER, "desk").await, Code::AlreadyExists, ErrorReason::AlreadyExists);
    // The demo's number is another tenant's.
    let taken = bench.bind("+12025550100", "desk").await;
    refused(taken, Code::AlreadyExists, ErrorReason::AlreadyExists);
    let request = |number: PhoneNumber| CreatePhoneNumberRequest {
        parent: "tenants/acme".into(),
        phone_number: Some(number),
        request_id: String::new(),
    };
    let bad = PhoneNumber {
        number: "12025550111".into(),
        agent: "tenants/globex/agents/desk".into(),
        display_name: "x".repeat(101),
        ..PhoneNumber::default()
    };
    let bad = ask!(bench, phone_number_service.create_phone_number, ADMIN, request(bad));
    assert_eq!(
        refused_fields(bad),
        ["phone_number.number", "phone_number.carrier", "phone_number.agent", "phone_number.display_name"]
    );
    refused(bench.bind("+12025550112", "nobody").await, Code::NotFound, ErrorReason::ResourceNotFound);
}

pub async fn a_number_leads_to_the_live_version_of_its_agent(bench: Bench) {
    bench.create_agent("desk", "").await.unwrap();
    bench.bind(NUMBER, "desk").await.unwrap();
    let nowhere = bench.resolve(NUMBER).await;
    let status = refused(nowhere, Code::NotFound, ErrorReason::ResourceNotFound);
    assert!(!format!("{status:?}").contains("2025550"), "a number is personal: {status:?}");
    bench.publish("desk").await.unwrap();
    let route = bench.resolve(NUMBER).await.unwrap();
    assert_eq!(
        (route.tenant.as_str(), route.agent.as_str(), route.agent_version),
        ("tenants/acme", "tenants/acme/agents/desk", 1)
    );
    let agent = proto::tenancy::v1::Agent {
        name: "tenants/acme/agents/desk".into(),
        greeting: "Hello.".into(),
        ..Default::default()
    };
    let request = proto::tenancy::v1::UpdateAgentRequest { agent: Some(agent), ..Default::default() };
    ask!(bench, agent_service.update_agent, ADMIN, request).unwrap();
    bench.publish("desk").await.unwrap();
    assert_eq!(bench.resolve(NUMBER).await.unwrap().agent_version, 2);
    let back = RollBackAgentRequest {
        name: "tenants/acme/agents/desk".into(),
        version: 1,
        ..RollBackAgentRequest::default()
    };
    ask!(bench, agent_service.roll_back_agent, ADMIN, back).unwrap();
    assert_eq!(bench.resolve(NUMBER).await.unwrap().agent_version, 1);
    let other = ResolveNumberRequest { number: NUMBER.into(), carrier: Carrier::Exotel.into() };
    let other = ask!(bench, routing_service.resolve_number, GATEWAY, other);
    refused(other, Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(refused_fields(bench.resolve("12025550111").await), ["number"]);
}

pub async fn a_number_is_changed_and_given_up(bench: Bench) {
    bench.create_agent("desk", "").await.unwrap();
    bench.create_agent("night", "").await.unwrap();
    let bound = bench.bind(NUMBER, "desk").await.unwrap();
    let request = |number: PhoneNumber, paths: &[&str]| UpdatePhoneNumberRequest {
        phone_number: Some(number),
        update_mask: (!paths.is_empty())
            .then(|| prost_types::FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() }),
    };
    let night = PhoneNumber {
        name: NAME.into(),
        agent: "tenants/acme/agents/night".into(),
        etag: bound.etag.clone(),
        ..PhoneNumber::default()
    };
    let changed = ask!(bench, phone_number_service.update_phone_number, ADMIN, request(night.clone(), &[]));
    let changed = changed.unwrap().phone_number.unwrap();
    assert_eq!(changed.agent, night.agent);
    let stale = ask!(bench, phone_number_service.update_phone_number, ADMIN, request(night.clone(), &[]));
    refused(stale, Code::Aborted, ErrorReason::EtagMismatch);
    let other = PhoneNumber { etag: String::new(), number: "+12025550199".into(), ..night };
    let other = ask!(bench, phone_number_service.update_phone_number, ADMIN, request(other, &["number"]));
    assert_eq!(refused_fields(other), ["update_mask.paths[0]"]);

    let get = || GetPhoneNumberRequest { name: NAME.into() };
    let got = ask!(bench, phone_number_service.get_phone_number, VIEWER, get()).unwrap();
    assert_eq!(got.phone_number.as_ref(), Some(&changed));
    let list = ListPhoneNumbersRequest { parent: "tenants/acme".into(), ..Default::default() };
    let listed = ask!(bench, phone_number_service.list_phone_numbers, VIEWER, list).unwrap();
    assert_eq!(listed.phone_numbers, [changed]);

    give_up(&bench, "12025550111").await.unwrap();
    let gone = ask!(bench, phone_number_service.get_phone_number, VIEWER, get());
    refused(gone, Code::NotFound, ErrorReason::ResourceNotFound);
    refused(give_up(&bench, "12025550111").await, Code::NotFound, ErrorReason::ResourceNotFound);
    // Another tenant may have it now.
    use proto::tenancy::v1::{Agent, CreateAgentRequest};
    let agent = CreateAgentRequest {
        parent: "tenants/globex".into(),
        agent_id: "desk".into(),
        agent: Some(Agent { prompt: "Answer.".into(), ..Agent::default() }),
        request_id: String::new(),
    };
    ask!(bench, agent_service.create_agent, STRANGER, agent).unwrap();
    let theirs = CreatePhoneNumberRequest {
        parent: "tenants/globex".into(),
        phone_number: Some(PhoneNumber {
            number: NUMBER.into(),
            carrier: Carrier::Twilio.into(),
            agent: "tenants/globex/agents/desk".into(),
            ..PhoneNumber::default()
        }),
        request_id: String::new(),
    };
    ask!(bench, phone_number_service.create_phone_number, STRANGER, theirs).unwrap();
}

pub async fn both_demo_numbers_lead_to_the_front_desk(bench: Bench) {
    // A second start plants nothing twice.
    crate::seed::plant(&bench.store).await.unwrap();
    for (number, carrier) in [("+12025550100", Carrier::Twilio), ("+918047100100", Carrier::Exotel)] {
        let request = ResolveNumberRequest { number: number.into(), carrier: carrier.into() };
        let route = ask!(bench, routing_service.resolve_number, GATEWAY, request).unwrap();
        assert_eq!((route.agent.as_str(), route.agent_version), ("tenants/demo/agents/front-desk", 1));
    }
    let request = GetAgentRequest { name: "tenants/demo/agents/front-desk".into(), version: 1, draft: false };
    let agent = ask!(bench, agent_service.get_agent, MEDIA, request).unwrap().agent.unwrap();
    assert_eq!(agent.tools, ["end_call", "search_knowledge"]);
    assert!(!agent.greeting.is_empty() && !agent.apology.is_empty());
    // Four characters a token: the prompt must clear the 512 tokens from which it is cached, with room for error.
    assert!(agent.prompt.len() > 4 * 650, "{}", agent.prompt.len());
}

pub async fn keys_are_for_tenants_that_are_there(bench: Bench) {
    let keys = async |tenant: &str, vendors: &[&str]| {
        let vendors = vendors.iter().map(|&vendor| vendor.to_owned()).collect();
        let request = GetProviderKeysRequest { tenant: tenant.into(), vendors };
        let answer = ask!(bench, routing_service.get_provider_keys, MEDIA, request)?;
        Ok(answer.keys.into_iter().map(|key| (key.vendor, key.api_key)).collect::<Vec<_>>())
    };
    let all = keys("tenants/demo", &["deepgram", "voyage", "voyage"]).await.unwrap();
    assert_eq!(all, [("voyage".to_owned(), "pa-secret".to_owned())]);
    assert_eq!(keys("tenants/demo", &["anthropic"]).await.unwrap(), []);
    refused(keys("tenants/nobody", &["voyage"]).await, Code::NotFound, ErrorReason::ResourceNotFound);
    assert_eq!(refused_fields(keys("tenants/demo/agents/a", &["voyage"]).await), ["tenant"]);
    assert_eq!(refused_fields(keys("tenants/demo", &[]).await), ["vendors"]);
    assert_eq!(refused_fields(keys("tenants/demo", &["voyage", "acme"]).await), ["vendors[1]"]);
}
