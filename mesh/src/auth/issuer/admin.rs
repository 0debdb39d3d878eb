//! The part of Keycloak's admin REST API that tenancy uses, with its paths, statuses and errors. For the holders of the
//! same token as there: the client svc-tenancy, and here the platform's administrators too.

use std::collections::HashMap;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use proto::auth::v1::Role;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AUDIENCE, Issuer, IssuerError,
    accounts::{Accounts, Client, Group, User},
    new_secret, subject_of,
};
use crate::auth::{Expected, Keys, Verifier, contract::role_of, role_name};

/// How many an answer holds when the question does not say.
const PAGE: usize = 100;

pub(super) fn router(issuer: Issuer) -> Router {
    Router::new()
        .route("/group-by-path/{*path}", get(group_by_path))
        .route("/groups/{id}", delete(delete_group))
        .route("/groups/{id}/children", post(create_group))
        .route("/groups/{id}/members", get(members))
        .route("/groups/{id}/role-mappings/realm", post(map_roles))
        .route("/groups/{id}/role-mappings/realm/available", get(available_roles))
        .route("/clients", get(clients).post(create_client))
        .route("/clients/{id}", put(update_client).delete(delete_client))
        .route("/clients/{id}/client-secret", post(renew_secret))
        .route("/clients/{id}/service-account-user", get(service_account_user))
        .route("/users", get(users).post(create_user))
        .route("/users/{id}", get(user))
        .route("/users/{id}/groups", get(groups_of))
        .route("/users/{id}/groups/{group}", put(join).delete(leave))
        .layer(middleware::from_fn_with_state(issuer.clone(), guard))
        .with_state(issuer)
}

/// An answer that is no success, in Keycloak's form.
struct Refused(StatusCode, &'static str);

impl From<IssuerError> for Refused {
    fn from(error: IssuerError) -> Self {
        tracing::error!(%error, "the development issuer changed nothing");
        Self(StatusCode::INTERNAL_SERVER_ERROR, "unknown_error")
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

type Answer<T = Json<Value>> = Result<T, Refused>;

const fn absent(what: &'static str) -> Refused {
    Refused(StatusCode::NOT_FOUND, what)
}

const NO_GROUP: Refused = absent("Could not find group by id");
const NO_CLIENT: Refused = absent("Could not find client");
const NO_USER: Refused = absent("User not found");

/// Every request is checked with the keys of this moment.
async fn guard(State(issuer): State<Issuer>, request: Request, next: Next) -> Response {
    let unauthorized = Refused(StatusCode::UNAUTHORIZED, "HTTP 401 Unauthorized");
    let Ok(url) = issuer.url() else { return unauthorized.into_response() };
    let expected = Expected { issuer: url, audience: AUDIENCE.to_owned() };
    let verifier = Verifier::new(Keys::new(issuer), expected);
    match verifier.verify(request.headers()).await {
        Err(_) => unauthorized.into_response(),
        Ok(caller)
            if caller.roles.iter().any(|role| matches!(role, Role::SvcTenancy | Role::PlatformAdmin)) =>
        {
            next.run(request).await
        }
        Ok(_) => Refused(StatusCode::FORBIDDEN, "HTTP 403 Forbidden").into_response(),
    }
}

fn show_group(accounts: &Accounts, id: &str, group: &Group) -> Value {
    json!({
        "id": id,
        "name": group.name,
        "path": accounts.path_of(id),
        "parentId": group.parent,
        "realmRoles": group.roles,
    })
}

fn show_client(id: &str, client: &Client) -> Value {
    json!({ "id": id, "clientId": client.client_id, "enabled": client.enabled, "secret": client.secret })
}

fn show_user(id: &str, user: &User) -> Value {
    json!({ "id": id, "username": user.username, "email": user.email, "enabled": true })
}

/// The page that `first` and `max` ask for.
fn page(all: impl Iterator<Item = Value>, query: &HashMap<String, String>) -> Json<Value> {
    let number = |name: &str| query.get(name).and_then(|value| value.parse().ok());
    Json(all.skip(number("first").unwrap_or(0)).take(number("max").unwrap_or(PAGE)).collect())
}

async fn group_by_path(State(issuer): State<Issuer>, Path(path): Path<String>) -> Answer {
    let accounts = issuer.0.accounts.read();
    let found = accounts.group_at(&format!("/{path}"));
    let (id, group) = found.ok_or(absent("Group path does not exist"))?;
    Ok(Json(show_group(&accounts, id, group)))
}

#[derive(Deserialize)]
struct NewGroup {
    name: String,
}

async fn create_group(
    State(issuer): State<Issuer>,
    Path(parent): Path<String>,
    Json(group): Json<NewGroup>,
) -> Answer<(StatusCode, Json<Value>)> {
    issuer.0.accounts.change(|accounts| {
        accounts.groups.get(&parent).ok_or(NO_GROUP)?;
        let exists = Refused(StatusCode::CONFLICT, "Sibling group of this name already exists.");
        let id = accounts.add_group(&parent, &group.name).ok_or(exists)?;
        Ok((StatusCode::CREATED, Json(show_group(accounts, &id, &accounts.groups[&id]))))
    })
}

async fn delete_group(State(issuer): State<Issuer>, Path(id): Path<String>) -> Answer<StatusCode> {
    issuer.0.accounts.change(|accounts| {
        accounts.groups.get(&id).ok_or(NO_GROUP)?;
        accounts.remove_group(&id);
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn members(
    State(issuer): State<Issuer>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let accounts = issuer.0.accounts.read();
    accounts.groups.get(&id).ok_or(NO_GROUP)?;
    let members = accounts.users.iter().filter(|(_, user)| user.groups.contains(&id));
    Ok(page(members.map(|(id, user)| show_user(id, user)), &query))
}

async fn available_roles(State(issuer): State<Issuer>, Path(id): Path<String>) -> Answer {
    let accounts = issuer.0.accounts.read();
    let group = accounts.groups.get(&id).ok_or(NO_GROUP)?;
    let names = (1..=9).filter_map(|number| Role::try_from(number).ok()).map(role_name);
    let available = names.filter(|name| !group.roles.contains(*name));
    Ok(Json(available.map(|name| json!({ "id": subject_of(name), "name": name })).collect()))
}

#[derive(Deserialize)]
struct RoleMapping {
    id: String,
    name: String,
}

async fn map_roles(
    State(issuer): State<Issuer>,
    Path(id): Path<String>,
    Json(roles): Json<Vec<RoleMapping>>,
) -> Answer<StatusCode> {
    let known = |role: &RoleMapping| role_of(&role.name).is_some() && role.id == subject_of(&role.name);
    if !roles.iter().all(known) {
        return Err(absent("Role not found"));
    }
    issuer.0.accounts.change(|accounts| {
        let group = accounts.groups.get_mut(&id).ok_or(NO_GROUP)?;
        group.roles.extend(roles.into_iter().map(|role| role.name));
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn clients(State(issuer): State<Issuer>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let accounts = issuer.0.accounts.read();
    let wanted = query.get("clientId").map_or("", String::as_str);
    let search = query.get("search").is_some_and(|search| search == "true");
    let found = accounts.clients.iter().filter(|(_, client)| match search {
        true => client.client_id.contains(wanted),
        false => client.client_id == wanted,
    });
    page(found.map(|(id, client)| show_client(id, client)), &query)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewClient {
    client_id: String,
}

async fn create_client(State(issuer): State<Issuer>, Json(client): Json<NewClient>) -> Answer<StatusCode> {
    let exists = || Refused(StatusCode::CONFLICT, "Client already exists");
    if issuer.client_secret(&client.client_id).is_some() {
        return Err(exists());
    }
    issuer.0.accounts.change(|accounts| {
        accounts.add_client(&client.client_id).ok_or_else(exists)?;
        Ok(StatusCode::CREATED)
    })
}

#[derive(Deserialize)]
struct ClientUpdate {
    enabled: Option<bool>,
}

async fn update_client(
    State(issuer): State<Issuer>,
    Path(id): Path<String>,
    Json(update): Json<ClientUpdate>,
) -> Answer<StatusCode> {
    issuer.0.accounts.change(|accounts| {
        let client = accounts.clients.get_mut(&id).ok_or(NO_CLIENT)?;
        client.enabled = update.enabled.unwrap_or(client.enabled);
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn delete_client(State(issuer): State<Issuer>, Path(id): Path<String>) -> Answer<StatusCode> {
    issuer.0.accounts.change(|accounts| {
        accounts.remove_client(&id).ok_or(NO_CLIENT)?;
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn renew_secret(State(issuer): State<Issuer>, Path(id): Path<String>) -> Answer {
    issuer.0.accounts.change(|accounts| {
        let client = accounts.clients.get_mut(&id).ok_or(NO_CLIENT)?;
        client.secret = new_secret();
        Ok(Json(json!({ "type": "secret", "value": client.secret })))
    })
}

async fn service_account_user(State(issuer): State<Issuer>, Path(id): Path<String>) -> Answer {
    let accounts = issuer.0.accounts.read();
    let client = accounts.clients.get(&id).ok_or(NO_CLIENT)?;
    let user = accounts.users.get(&client.user).ok_or(NO_USER)?;
    Ok(Json(show_user(&client.user, user)))
}

async fn users(State(issuer): State<Issuer>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let accounts = issuer.0.accounts.read();
    let email = query.get("email").map(|email| email.to_lowercase());
    let found = accounts.users.iter().filter(|(_, user)| email.is_some() && user.email == email);
    page(found.map(|(id, user)| show_user(id, user)), &query)
}

#[derive(Deserialize)]
struct NewUser {
    email: String,
}

async fn create_user(State(issuer): State<Issuer>, Json(user): Json<NewUser>) -> Answer<StatusCode> {
    issuer.0.accounts.change(|accounts| {
        let exists = Refused(StatusCode::CONFLICT, "User exists with same email");
        accounts.add_person(&user.email).ok_or(exists)?;
        Ok(StatusCode::CREATED)
    })
}

async fn user(State(issuer): State<Issuer>, Path(id): Path<String>) -> Answer {
    let accounts = issuer.0.accounts.read();
    Ok(Json(show_user(&id, accounts.users.get(&id).ok_or(NO_USER)?)))
}

async fn groups_of(State(issuer): State<Issuer>, Path(id): Path<String>) -> Answer {
    let accounts = issuer.0.accounts.read();
    let user = accounts.users.get(&id).ok_or(NO_USER)?;
    let groups = user.groups.iter().filter_map(|id| Some((id, accounts.groups.get(id)?)));
    Ok(Json(groups.map(|(id, group)| show_group(&accounts, id, group)).collect()))
}

async fn join(State(issuer): State<Issuer>, Path((id, group)): Path<(String, String)>) -> Answer<StatusCode> {
    issuer.0.accounts.change(|accounts| {
        accounts.groups.get(&group).ok_or(absent("Group not found"))?;
        accounts.users.get_mut(&id).ok_or(NO_USER)?.groups.insert(group);
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn leave(
    State(issuer): State<Issuer>,
    Path((id, group)): Path<(String, String)>,
) -> Answer<StatusCode> {
    issuer.0.accounts.change(|accounts| {
        accounts.groups.get(&group).ok_or(absent("Group not found"))?;
        accounts.users.get_mut(&id).ok_or(NO_USER)?.groups.remove(&group);
        Ok(StatusCode::NO_CONTENT)
    })
}
