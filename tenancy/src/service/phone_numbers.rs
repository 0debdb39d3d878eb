use mesh::ServiceError;
use proto::{
    tenancy::v1::{
        self as wire, CreatePhoneNumberRequest, CreatePhoneNumberResponse, DeletePhoneNumberRequest,
        DeletePhoneNumberResponse, GetPhoneNumberRequest, GetPhoneNumberResponse, ListPhoneNumbersRequest,
        ListPhoneNumbersResponse, UpdatePhoneNumberRequest, UpdatePhoneNumberResponse,
        phone_number_service_server,
    },
    types::v1::ErrorReason,
};
use tonic::{Request, Response, Status};

use super::{Desk, check_etag, check_text, page::Listing, required};
use crate::{
    control::{CarrierId, PhoneNumber, TenantTx},
    ids::{AgentId, Number, TenantId, check_parent},
    mask::{self, Masked},
    wire::{etag, timestamp},
};

/// How many numbers a tenant may have.
const NUMBERS_MAX: usize = 1000;
const NAME_MAX: usize = 100;

const MASKED: Masked =
    Masked { message: "trunkline.tenancy.v1.PhoneNumber", changeable: &["agent", "display_name"] };

const CREATE: &str = "trunkline.tenancy.v1.PhoneNumberService/CreatePhoneNumber";
const LIST: &str = "trunkline.tenancy.v1.PhoneNumberService/ListPhoneNumbers";
const UPDATE: &str = "trunkline.tenancy.v1.PhoneNumberService/UpdatePhoneNumber";
const DELETE: &str = "trunkline.tenancy.v1.PhoneNumberService/DeletePhoneNumber";

/// A tenant's telephone numbers.
#[derive(Clone)]
pub struct PhoneNumberService {
    desk: Desk,
}

impl PhoneNumberService {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

impl PhoneNumber {
    fn into_wire(self, tenant: &TenantId) -> wire::PhoneNumber {
        wire::PhoneNumber {
            name: self.number.name_in(tenant),
            number: self.number.expose().to_owned(),
            carrier: self.carrier.into_wire().into(),
            agent: self.agent.name_in(tenant),
            display_name: self.display_name,
            create_time: Some(timestamp(self.created_at)),
            update_time: Some(timestamp(self.updated_at)),
            etag: etag(self.updated_at),
        }
    }
}

async fn find(tx: &mut TenantTx, number: &Number) -> Result<PhoneNumber, Status> {
    let found = tx.number(number).await?;
    Ok(found.ok_or_else(|| ServiceError::not_found(&number.name_in(tx.tenant())))?)
}

/// The agent of a name in a request: one of the same tenant.
fn agent_of(tenant: &TenantId, name: &str) -> Result<AgentId, (String, String)> {
    let field = "phone_number.agent";
    AgentId::of_name(field, name).ok().filter(|agent| agent.name_in(tenant) == name).ok_or_else(|| {
        (field.to_owned(), format!("must be an agent of the same tenant, {tenant}/agents/{{agent}}"))
    })
}

async fn require_agent(tx: &mut TenantTx, agent: &AgentId) -> Result<(), Status> {
    let found = tx.agent(agent).await?.filter(|agent| !agent.deleted);
    found.map(drop).ok_or_else(|| ServiceError::not_found(&agent.name_in(tx.tenant())).into())
}

#[tonic::async_trait]
impl phone_number_service_server::PhoneNumberService for PhoneNumberService {
    async fn create_phone_number(
        &self,
        request: Request<CreatePhoneNumberRequest>,
    ) -> Result<Response<CreatePhoneNumberResponse>, Status> {
        let message = request.get_ref();
        let mut work = self.desk.write(&request, CREATE, "parent", &message.parent).await?;
        if let Some(answer) = work.repeat(&message.request_id, message).await? {
            return Ok(Response::new(answer));
        }
        check_parent("parent", &message.parent)?;
        let tenant = work.tx.tenant().clone();
        let given = required("phone_number", message.phone_number.as_ref())?;
        let number = Number::read(&given.number)
            .ok_or_else(|| ("phone_number.number".to_owned(), Number::ALLOWED.to_owned()));
        let carrier = CarrierId::from_wire(given.carrier).ok_or_else(|| {
            ("phone_number.carrier".to_owned(), "must be CARRIER_TWILIO or CARRIER_EXOTEL".to_owned())
        });
        let agent = agent_of(&tenant, &given.agent);
        let text = check_text("phone_number.display_name", &given.display_name, 0, NAME_MAX);
        let (number, carrier, agent) = match (number, carrier, agent, text) {
            (Ok(number), Ok(carrier), Ok(agent), None) => (number, carrier, agent),
            (number, carrier, agent, text) => {
                let wrong = number.err().into_iter().chain(carrier.err()).chain(agent.err()).chain(text);
                return Err(ServiceError::invalid_fields(wrong).into());
            }
        };
        require_agent(&mut work.tx, &agent).await?;
        if work.tx.numbers_count().await? >= NUMBERS_MAX as i64 {
            return Err(ServiceError::quota(&tenant.to_string(), "phone numbers", NUMBERS_MAX).into());
        }
        let name = number.name_in(&tenant);
        let bound = work.tx.add_number(&number, carrier, &agent, &given.display_name).await?;
        let bound = bound.ok_or_else(|| {
            let why = "the number is bound already, here or by another tenant";
            ServiceError::new(ErrorReason::AlreadyExists, why).about(&name)
        })?;
        work.audit(&name, &format!("leads to {}", agent.name_in(&tenant))).await?;
        work.finish(CreatePhoneNumberResponse { phone_number: Some(bound.into_wire(&tenant)) }).await
    }

    async fn get_phone_number(
        &self,
        request: Request<GetPhoneNumberRequest>,
    ) -> Result<Response<GetPhoneNumberResponse>, Status> {
        let name = &request.get_ref().name;
        let mut tx = self.desk.read(&request, "name", name).await?;
        let number = find(&mut tx, &Number::of_name("name", name)?).await?;
        Ok(Response::new(GetPhoneNumberResponse { phone_number: Some(number.into_wire(tx.tenant())) }))
    }

    async fn list_phone_numbers(
        &self,
        request: Request<ListPhoneNumbersRequest>,
    ) -> Result<Response<ListPhoneNumbersResponse>, Status> {
        let message = request.get_ref();
        let mut tx = self.desk.read(&request, "parent", &message.parent).await?;
        check_parent("parent", &message.parent)?;
        let listing = Listing { method: LIST, parent: &message.parent, filter: "" };
        let page = self.desk.pages().page(listing, message.page_size, &message.page_token)?;
        let rows = tx.numbers(page.after.as_deref().unwrap_or_default(), page.limit()).await?;
        let (rows, next_page_token) = page.cut(rows, |number| number.number.expose().to_owned());
        let phone_numbers = rows.into_iter().map(|number| number.into_wire(tx.tenant())).collect();
        Ok(Response::new(ListPhoneNumbersResponse { phone_numbers, next_page_token }))
    }

    async fn update_phone_number(
        &self,
        request: Request<UpdatePhoneNumberRequest>,
    ) -> Result<Response<UpdatePhoneNumberResponse>, Status> {
        let message = request.get_ref();
        let given = required("phone_number", message.phone_number.as_ref())?;
        let mut work = self.desk.write(&request, UPDATE, "phone_number.name", &given.name).await?;
        let number = Number::of_name("phone_number.name", &given.name)?;
        let stored = find(&mut work.tx, &number).await?;
        check_etag(&given.etag, stored.updated_at, &given.name)?;
        let tenant = work.tx.tenant().clone();
        let mask = message.update_mask.as_ref();
        let (changed, paths) = mask::apply(&MASKED, &stored.clone().into_wire(&tenant), given, mask)
            .map_err(ServiceError::invalid_fields)?;
        let text = check_text("phone_number.display_name", &changed.display_name, 0, NAME_MAX);
        let agent = match (agent_of(&tenant, &changed.agent), text) {
            (Ok(agent), None) => agent,
            (agent, text) => {
                return Err(ServiceError::invalid_fields(agent.err().into_iter().chain(text)).into());
            }
        };
        if agent != stored.agent {
            require_agent(&mut work.tx, &agent).await?;
        }
        let display_name = changed.display_name;
        let number = work.tx.change_number(PhoneNumber { agent, display_name, ..stored }).await?;
        work.audit(&given.name, &paths.join(", ")).await?;
        work.finish(UpdatePhoneNumberResponse { phone_number: Some(number.into_wire(&tenant)) }).await
    }

    async fn delete_phone_number(
        &self,
        request: Request<DeletePhoneNumberRequest>,
    ) -> Result<Response<DeletePhoneNumberResponse>, Status> {
        let DeletePhoneNumberRequest { name, etag } = request.get_ref();
        let mut work = self.desk.write(&request, DELETE, "name", name).await?;
        let number = find(&mut work.tx, &Number::of_name("name", name)?).await?;
        check_etag(etag, number.updated_at, name)?;
        work.tx.delete_number(&number.number).await?;
        work.audit(name, "").await?;
        work.finish(DeletePhoneNumberResponse {}).await
    }
}
