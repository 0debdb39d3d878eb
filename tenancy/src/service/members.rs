use mesh::{Pii, ServiceError};
use proto::{
    tenancy::v1::{
        self as wire, CreateMemberRequest, CreateMemberResponse, CreateServiceAccountRequest,
        CreateServiceAccountResponse, DeleteMemberRequest, DeleteMemberResponse, DeleteServiceAccountRequest,
        DeleteServiceAccountResponse, ListMembersRequest, ListMembersResponse, ListServiceAccountsRequest,
        ListServiceAccountsResponse, RotateServiceAccountSecretRequest, RotateServiceAccountSecretResponse,
        UpdateMemberRequest, UpdateMemberResponse, member_service_server,
    },
    types::v1::ErrorReason,
};
use tonic::{Request, Response, Status};

use super::{Desk, page::Listing, require_active, required, work::at_issuer};
use crate::{
    accounts::{Credentials, Member, Right},
    control::{AccountState, ServiceAccount, TenantTx},
    ids::{AccountId, TenantId, check_new_id, check_parent},
    wire::timestamp,
};

const ACCOUNT_ID_MAX: usize = 40;
/// How many service accounts a tenant may have.
const ACCOUNTS_MAX: usize = 100;
/// How many people a tenant may have: all of them are read for a page.
const MEMBERS_MAX: usize = 200;
const EMAIL_MAX_BYTES: usize = 254;
const MEMBER_ID_MAX_BYTES: usize = 64;

const CREATE_MEMBER: &str = "trunkline.tenancy.v1.MemberService/CreateMember";
const LIST_MEMBERS: &str = "trunkline.tenancy.v1.MemberService/ListMembers";
const UPDATE_MEMBER: &str = "trunkline.tenancy.v1.MemberService/UpdateMember";
const DELETE_MEMBER: &str = "trunkline.tenancy.v1.MemberService/DeleteMember";
const CREATE_ACCOUNT: &str = "trunkline.tenancy.v1.MemberService/CreateServiceAccount";
const LIST_ACCOUNTS: &str = "trunkline.tenancy.v1.MemberService/ListServiceAccounts";
const ROTATE_SECRET: &str = "trunkline.tenancy.v1.MemberService/RotateServiceAccountSecret";
const DELETE_ACCOUNT: &str = "trunkline.tenancy.v1.MemberService/DeleteServiceAccount";

/// Who may act for a tenant. People are known to the issuer alone; of a service account we keep all but its secret. What
/// happens at the issuer is in the audit log before it happens there, so that nothing happens unseen.
#[derive(Clone)]
pub struct MemberService {
    desk: Desk,
}

impl MemberService {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

impl Member {
    fn into_wire(self, tenant: &TenantId) -> wire::Member {
        wire::Member {
            name: member_name(tenant, &self.id),
            email: self.email.into_inner(),
            right: self.right.into_wire().into(),
        }
    }
}

impl ServiceAccount {
    fn into_wire(self, tenant: &TenantId) -> wire::ServiceAccount {
        wire::ServiceAccount {
            name: self.id.name_in(tenant),
            right: self.right.into_wire().into(),
            client_id: self.client_id,
            create_time: Some(timestamp(self.created_at)),
        }
    }
}

fn member_name(tenant: &TenantId, id: &str) -> String {
    format!("{tenant}/members/{id}")
}

/// The issuer's id that a member's name ends with.
fn member_id<'a>(field: &str, name: &'a str) -> Result<&'a str, ServiceError> {
    let well_formed = |id: &str| {
        (1..=MEMBER_ID_MAX_BYTES).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        ["tenants", _, "members", id] if well_formed(id) => Ok(id),
        _ => Err(ServiceError::invalid_field(field, "must be tenants/{tenant}/members/{member}")),
    }
}

fn right_of(field: &str, right: i32) -> Result<Right, (String, String)> {
    let allowed = "must be TENANT_RIGHT_VIEWER, TENANT_RIGHT_OPERATOR or TENANT_RIGHT_ADMIN";
    Right::from_wire(right).ok_or_else(|| (field.to_owned(), allowed.to_owned()))
}

/// An e-mail address, in small letters as the issuer keeps it, if a text can be one; whether it is one, the issuer's
/// message to it will show.
fn email_of(field: &str, email: &str) -> Result<Pii<String>, (String, String)> {
    let plain = email.len() <= EMAIL_MAX_BYTES
        && email.bytes().all(|b| b.is_ascii_graphic() && !b"\"(),:;<>[\\]".contains(&b));
    let split = email.split_once('@').filter(|(name, domain)| {
        !name.is_empty() && domain.contains('.') && !domain.contains('@') && !domain.starts_with('.')
    });
    if plain && split.is_some() {
        return Ok(Pii::new(email.to_ascii_lowercase()));
    }
    Err((field.to_owned(), "must be an e-mail address such as ann@mail.example".to_owned()))
}

async fn find_account(tx: &mut TenantTx, account: &AccountId) -> Result<ServiceAccount, Status> {
    let found = tx.service_account(account).await?;
    Ok(found.ok_or_else(|| ServiceError::not_found(&account.name_in(tx.tenant())))?)
}

fn with_email(mut answer: CreateMemberResponse, email: Pii<String>) -> CreateMemberResponse {
    if let Some(member) = &mut answer.member {
        member.email = email.into_inner();
    }
    answer
}

fn account_taken(name: &str) -> ServiceError {
    ServiceError::new(ErrorReason::AlreadyExists, format!("{name} exists")).about(name)
}

impl MemberService {
    /// The row of an account that is to be made: a new one, or that of an attempt which ended half way.
    async fn begin_account(
        &self,
        tx: &mut TenantTx,
        account: &AccountId,
        right: Right,
    ) -> Result<(ServiceAccount, bool), Status> {
        let name = account.name_in(tx.tenant());
        if let Some(found) = tx.service_account(account).await? {
            let unfinished = found.state == AccountState::Provisioning && found.right == right;
            return if unfinished { Ok((found, false)) } else { Err(account_taken(&name).into()) };
        }
        if tx.service_accounts_count().await? >= ACCOUNTS_MAX as i64 {
            let tenant = tx.tenant().to_string();
            return Err(ServiceError::quota(&tenant, "service accounts", ACCOUNTS_MAX).into());
        }
        let added = tx.add_service_account(account, right).await?;
        Ok((added.ok_or_else(|| account_taken(&name))?, true))
    }

    async fn members(&self, tenant: &TenantId) -> Result<Vec<Member>, ServiceError> {
        at_issuer(self.desk.accounts()?.list_members(tenant)).await
    }
}

#[tonic::async_trait]
impl member_service_server::MemberService for MemberService {
    async fn create_member(
        &self,
        request: Request<CreateMemberRequest>,
    ) -> Result<Response<CreateMemberResponse>, Status> {
        let message = request.get_ref();
        let mut work = self.desk.write(&request, CREATE_MEMBER, "parent", &message.parent).await?;
        let repeated: Option<CreateMemberResponse> = work.repeat(&message.request_id, message).await?;
        check_parent("parent", &message.parent)?;
        let tenant = work.tx.tenant().clone();
        let given = required("member", message.member.as_ref())?;
        let (email, right) =
            match (email_of("member.email", &given.email), right_of("member.right", given.right)) {
                (Ok(email), Ok(right)) => (email, right),
                (email, right) => {
                    return Err(
                        ServiceError::invalid_fields(email.err().into_iter().chain(right.err())).into()
                    );
                }
            };
        if let Some(answer) = repeated {
            return Ok(Response::new(with_email(answer, email)));
        }
        work.audit(&format!("{tenant}/members"), &format!("somebody is to be {}", right.as_str())).await?;
        let held = work.hold().await?;
        let made = async {
            if self.members(&tenant).await?.len() >= MEMBERS_MAX {
                return Err(ServiceError::quota(&tenant.to_string(), "members", MEMBERS_MAX));
            }
            at_issuer(self.desk.accounts()?.create_member(&tenant, &email, right)).await
        };
        let member = match made.await {
            Ok(member) => member,
            Err(error) => return Err(held.give_up(error).await),
        };
        let mut work = held.resume().await?;
        work.audit(&member_name(&tenant, &member.id), &format!("is {}", right.as_str())).await?;
        let answer = CreateMemberResponse { member: Some(member.into_wire(&tenant)) };
        // People are known to the issuer alone: what is stored for a repeat, which brings the address, is without it.
        let answer = with_email(answer, Pii::new(String::new()));
        let response = work.finish(answer).await?;
        Ok(response.map(|answer| with_email(answer, email)))
    }

    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let message = request.get_ref();
        let tenant = self.desk.read(&request, "parent", &message.parent).await?.tenant().clone();
        check_parent("parent", &message.parent)?;
        let listing = Listing { method: LIST_MEMBERS, parent: &message.parent, filter: "" };
        let page = self.desk.pages().page(listing, message.page_size, &message.page_token)?;
        let after = page.after.clone().unwrap_or_default();
        let members = self.members(&tenant).await?;
        let rows = members.into_iter().filter(|member| member.id > after).collect();
        let (rows, next_page_token) = page.cut(rows, |member: &Member| member.id.clone());
        let members = rows.into_iter().map(|member| member.into_wire(&tenant)).collect();
        Ok(Response::new(ListMembersResponse { members, next_page_token }))
    }

    async fn update_member(
        &self,
        request: Request<UpdateMemberRequest>,
    ) -> Result<Response<UpdateMemberResponse>, Status> {
        let given = required("member", request.get_ref().member.as_ref())?;
        let mut work = self.desk.write(&request, UPDATE_MEMBER, "member.name", &given.name).await?;
        let id = member_id("member.name", &given.name)?;
        let right =
            right_of("member.right", given.right).map_err(|wrong| ServiceError::invalid_fields([wrong]))?;
        let tenant = work.tx.tenant().clone();
        work.audit(&given.name, &format!("is {}", right.as_str())).await?;
        work.tx.commit().await?;
        let updated = at_issuer(self.desk.accounts()?.update_member(&tenant, id, right)).await;
        let member = updated.map_err(|error| not_found_as(error, &given.name))?;
        Ok(Response::new(UpdateMemberResponse { member: Some(member.into_wire(&tenant)) }))
    }

    async fn delete_member(
        &self,
        request: Request<DeleteMemberRequest>,
    ) -> Result<Response<DeleteMemberResponse>, Status> {
        let name = &request.get_ref().name;
        let mut work = self.desk.write(&request, DELETE_MEMBER, "name", name).await?;
        let id = member_id("name", name)?;
        let tenant = work.tx.tenant().clone();
        work.audit(name, "").await?;
        work.tx.commit().await?;
        at_issuer(self.desk.accounts()?.delete_member(&tenant, id)).await?;
        Ok(Response::new(DeleteMemberResponse {}))
    }

    /// The row is there first, as being provisioned, so that a client at the issuer is never without one. A repeat goes on
    /// where an attempt ended, and then shows a secret: nobody else has seen one.
    async fn create_service_account(
        &self,
        request: Request<CreateServiceAccountRequest>,
    ) -> Result<Response<CreateServiceAccountResponse>, Status> {
        let message = request.get_ref();
        let mut work = self.desk.write(&request, CREATE_ACCOUNT, "parent", &message.parent).await?;
        if let Some(answer) = work.repeat(&message.request_id, message).await? {
            return Ok(Response::new(answer));
        }
        check_parent("parent", &message.parent)?;
        let tenant = work.tx.tenant().clone();
        let given = required("service_account", message.service_account.as_ref())?;
        let wrong = check_new_id("service_account_id", &message.service_account_id, ACCOUNT_ID_MAX);
        let right = match (right_of("service_account.right", given.right), wrong) {
            (Ok(right), None) => right,
            (right, wrong) => {
                return Err(ServiceError::invalid_fields(wrong.into_iter().chain(right.err())).into());
            }
        };
        let account = AccountId::from_id(&message.service_account_id);
        let name = account.name_in(&tenant);
        work.alone(&name).await?;
        let (mut row, is_new) = self.begin_account(&mut work.tx, &account, right).await?;
        if is_new {
            work.audit(&name, &format!("is {}", right.as_str())).await?;
        }
        let held = work.hold().await?;
        let made =
            async { at_issuer(self.desk.accounts()?.create_service_account(&tenant, &account, right)).await };
        let Credentials { client_secret, .. } = match made.await {
            Ok(credentials) => credentials,
            Err(error) => return Err(held.give_up(error).await),
        };
        let mut work = held.resume().await?;
        // Whoever suspended the tenant in the meantime stopped the clients that there were.
        let state =
            work.tx.find_tenant().await?.ok_or_else(|| ServiceError::not_found(&tenant.to_string()))?;
        if let Err(inactive) = require_active(&state) {
            // Nobody waits for this transaction while the issuer is asked.
            drop(work);
            at_issuer(self.desk.accounts()?.delete_service_account(&tenant, &account)).await?;
            return Err(inactive.into());
        }
        work.tx.set_service_account_state(&account, AccountState::Active).await?;
        row.state = AccountState::Active;
        let answer = CreateServiceAccountResponse {
            service_account: Some(row.into_wire(&tenant)),
            client_secret: String::new(),
        };
        let mut response = work.finish(answer).await?;
        response.get_mut().client_secret = client_secret.into_inner();
        Ok(response)
    }

    async fn list_service_accounts(
        &self,
        request: Request<ListServiceAccountsRequest>,
    ) -> Result<Response<ListServiceAccountsResponse>, Status> {
        let message = request.get_ref();
        let mut tx = self.desk.read(&request, "parent", &message.parent).await?;
        check_parent("parent", &message.parent)?;
        let listing = Listing { method: LIST_ACCOUNTS, parent: &message.parent, filter: "" };
        let page = self.desk.pages().page(listing, message.page_size, &message.page_token)?;
        let rows = tx.service_accounts(page.after.as_deref().unwrap_or_default(), page.limit()).await?;
        let (rows, next_page_token) = page.cut(rows, |account| account.id.as_str().to_owned());
        let service_accounts = rows.into_iter().map(|account| account.into_wire(tx.tenant())).collect();
        Ok(Response::new(ListServiceAccountsResponse { service_accounts, next_page_token }))
    }

    async fn rotate_service_account_secret(
        &self,
        request: Request<RotateServiceAccountSecretRequest>,
    ) -> Result<Response<RotateServiceAccountSecretResponse>, Status> {
        let name = &request.get_ref().name;
        let mut work = self.desk.write(&request, ROTATE_SECRET, "name", name).await?;
        let account = AccountId::of_name("name", name)?;
        let row = find_account(&mut work.tx, &account).await?;
        if row.state == AccountState::Provisioning {
            let why = format!("{name} is not made yet; send CreateServiceAccount again, or delete it");
            return Err(ServiceError::precondition(ErrorReason::WrongState, name, why).into());
        }
        let tenant = work.tx.tenant().clone();
        work.alone(name).await?;
        work.audit(name, "").await?;
        let held = work.hold().await?;
        let rotated = async { at_issuer(self.desk.accounts()?.rotate_secret(&tenant, &account)).await };
        let client_secret = match rotated.await {
            Ok(secret) => secret.into_inner(),
            Err(error) => return Err(held.give_up(not_found_as(error, name)).await),
        };
        held.resume().await?.finish(RotateServiceAccountSecretResponse { client_secret }).await
    }

    /// The row goes last: while the issuer has the client, the account is listed.
    async fn delete_service_account(
        &self,
        request: Request<DeleteServiceAccountRequest>,
    ) -> Result<Response<DeleteServiceAccountResponse>, Status> {
        let name = &request.get_ref().name;
        let mut work = self.desk.write(&request, DELETE_ACCOUNT, "name", name).await?;
        let account = AccountId::of_name("name", name)?;
        find_account(&mut work.tx, &account).await?;
        let tenant = work.tx.tenant().clone();
        work.alone(name).await?;
        work.audit(name, "").await?;
        let held = work.hold().await?;
        let deleted =
            async { at_issuer(self.desk.accounts()?.delete_service_account(&tenant, &account)).await };
        if let Err(error) = deleted.await {
            return Err(held.give_up(error).await);
        }
        let mut work = held.resume().await?;
        work.tx.delete_service_account(&account).await?;
        work.finish(DeleteServiceAccountResponse {}).await
    }
}

/// The issuer's NOT_FOUND, about the name that was asked for.
fn not_found_as(error: ServiceError, name: &str) -> ServiceError {
    if error.reason() == ErrorReason::ResourceNotFound { ServiceError::not_found(name) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_an_address_is_one() {
        for good in ["ann@mail.example", "a.b+c@x.y.example", "O'Neil@mail.example"] {
            assert!(email_of("f", good).is_ok(), "{good}");
        }
        assert_eq!(email_of("f", "Ann@Mail.example").unwrap().expose(), "ann@mail.example");
        let long = format!("{}@mail.example", "a".repeat(250));
        for bad in [
            "",
            "ann",
            "@mail.example",
            "ann@",
            "ann@host",
            "a@b@c.example",
            "a b@c.example",
            "a@.example",
            "a\n@c.example",
            "é@c.example",
            "<a@c.example>",
            &long,
        ] {
            assert!(email_of("f", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_member_is_named_by_the_issuers_id_and_by_nothing_that_leads_elsewhere() {
        assert_eq!(member_id("f", "tenants/acme/members/6f1c-9").ok(), Some("6f1c-9"));
        for bad in [
            "tenants/acme/members/",
            "tenants/acme/members/..",
            "tenants/acme/members/a/b",
            "tenants/acme",
            "tenants/acme/agents/a",
            "tenants/acme/members/a%2fb",
        ] {
            assert!(member_id("f", bad).is_err(), "{bad}");
        }
    }
}
