//! The suite itself.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::{BoxFuture, join_all};
use mesh::{
    Pii,
    auth::{
        CLIENTS, Caller, Expected, FetchError, HttpKeys, KeySource, Keys, TokenConfig, TokenSource, Verifier,
    },
    error::reason_of,
};
use proto::{auth::v1::Role, types::v1::ErrorReason};
use serde_json::Value;
use tonic::Status;

use super::{Server, http, services};
use crate::{
    accounts::{Accounts, AccountsError, Credentials, Right, keycloak::Keycloak},
    ids::{AccountId, TenantId},
};

/// Between two fetches of keys for a key that nobody has seen, with something to spare.
const REFETCH_INTERVAL: Duration = Duration::from_secs(31);

/// Every part of the suite, in an order that each leaves as it found, but for the last.
pub(super) async fn run(server: &mut dyn Server) {
    let suite = Suite::new(server);
    suite.tokens_come_from_the_real_endpoint(server).await;
    suite.a_tenant_is_a_group_with_its_roles().await;
    suite.a_service_account_carries_its_right().await;
    suite.secrets_rotate().await;
    suite.suspension_stops_new_tokens_of_that_tenant_only().await;
    suite.people_are_members_by_their_address().await;
    suite.nobody_else_may_manage_accounts(server).await;
    suite.a_deleted_tenant_leaves_nothing().await;
    services::run(server).await;
    keys_rotate(server).await;
    an_issuer_that_is_away_gives_no_verdict(server).await;
    println!("identity suite: all parts hold on {}", server.name());
}

struct Suite {
    name: String,
    accounts: Keycloak,
    verifier: Verifier,
    server_client: TokenConfig,
}

pub(super) fn tokens(client: TokenConfig) -> TokenSource {
    TokenSource::new(http(), client).unwrap()
}

pub(crate) fn accounts(server: &dyn Server) -> Keycloak {
    Keycloak::new(http(), &server.realm_url(), tokens(server.client("svc-tenancy"))).unwrap()
}

fn expected(server: &dyn Server) -> Expected {
    Expected { issuer: server.realm_url().to_string(), audience: "trunkline".into() }
}

pub(super) fn verifier(server: &dyn Server) -> Verifier {
    let keys = Keys::new(HttpKeys::new(http(), &server.realm_url()).unwrap());
    Verifier::new(keys, expected(server))
}

pub(super) async fn caller(verifier: &Verifier, source: &TokenSource) -> Result<Caller, Status> {
    let token = source.authorization().await.map_err(Status::from)?;
    let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, token)]);
    Ok(verifier.verify(&headers).await?)
}

fn tenant(slug: &str) -> TenantId {
    TenantId::from_slug(slug)
}

fn account(id: &str) -> AccountId {
    AccountId::from_id(id)
}

fn address(email: &str) -> Pii<String> {
    Pii::new(email.to_owned())
}

/// The claims of a token, each with the type of its value; what is in an object counts by its path.
fn shape(token: &http::HeaderValue) -> BTreeMap<String, &'static str> {
    let token = token.to_str().unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let mut shape = BTreeMap::new();
    describe("", &serde_json::from_slice(&payload).unwrap(), &mut shape);
    shape
}

fn describe(path: &str, value: &Value, shape: &mut BTreeMap<String, &'static str>) {
    let kind = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                describe(&format!("{path}.{name}"), value, shape);
            }
            return;
        }
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null => "null",
    };
    shape.insert(path.trim_start_matches('.').to_owned(), kind);
}

/// What a token of Keycloak 26.7 holds, whoever it is for.
const COMMON: [(&str, &str); 13] = [
    ("acr", "string"),
    ("azp", "string"),
    ("email_verified", "bool"),
    ("exp", "number"),
    ("iat", "number"),
    ("iss", "string"),
    ("jti", "string"),
    ("preferred_username", "string"),
    ("realm_access.roles", "array"),
    ("scope", "string"),
    ("sub", "string"),
    ("typ", "string"),
    ("aud", "string"),
];

/// What else a client's token holds that was made through the admin API and is in a group.
const OF_AN_ACCOUNT: [(&str, &str); 6] = [
    ("aud", "array"),
    ("client_id", "string"),
    ("clientHost", "string"),
    ("clientAddress", "string"),
    ("groups", "array"),
    ("resource_access.account.roles", "array"),
];

fn assert_shape(what: &str, token: &http::HeaderValue, more: &[(&str, &'static str)]) {
    let mut wanted: BTreeMap<String, &str> =
        COMMON.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    wanted.extend(more.iter().map(|(name, kind)| ((*name).to_owned(), *kind)));
    assert_eq!(shape(token), wanted, "{what}");
}

impl Suite {
    fn new(server: &dyn Server) -> Self {
        Self {
            name: server.name(),
            accounts: accounts(server),
            verifier: verifier(server),
            server_client: server.client("svc-tenancy"),
        }
    }

    fn done(&self, part: &str) {
        println!("identity suite: {part}: ok on {}", self.name);
    }

    /// The tokens of a tenant's client.
    fn source(&self, credentials: &Credentials) -> TokenSource {
        tokens(TokenConfig {
            client_id: credentials.client_id.clone(),
            client_secret: credentials.client_secret.clone(),
            ..self.server_client.clone()
        })
    }

    async fn assert_refused(&self, credentials: &Credentials, why: &str) {
        let refused = self.source(credentials).authorization().await;
        assert_eq!(refused.unwrap_err().reason(), ErrorReason::IdentityUnavailable, "{why}");
    }

    async fn tokens_come_from_the_real_endpoint(&self, server: &dyn Server) {
        for (client, role) in CLIENTS {
            let source = tokens(server.client(client));
            let caller = caller(&self.verifier, &source).await.unwrap();
            assert_eq!((caller.client.as_str(), caller.roles), (client, vec![role]));
            let manages = [("aud", "array"), ("resource_access.realm-management.roles", "array")];
            let more: &[_] = if client == "svc-tenancy" { &manages } else { &[] };
            assert_shape(client, &source.authorization().await.unwrap(), more);
        }
        let wrong = TokenConfig { client_secret: address("wrong"), ..server.client("svc-media") };
        assert!(tokens(wrong).authorization().await.is_err());
        self.done("tokens of the services and of the operator");
    }

    async fn a_tenant_is_a_group_with_its_roles(&self) {
        let acme = tenant("acme");
        let asked = (0..4).map(|_| self.accounts.create_tenant(&acme));
        for made in join_all(asked).await {
            // Whoever loses a race inside the issuer may be asked to come again, and no worse.
            assert!(matches!(made, Ok(()) | Err(AccountsError::Unavailable(_))), "{made:?}");
        }
        for slug in ["acme", "acme", "acme-2", "acm"] {
            self.accounts.create_tenant(&tenant(slug)).await.unwrap();
        }
        self.done("tenants, made again and at once");
    }

    async fn a_service_account_carries_its_right(&self) {
        let (acme, first) = (tenant("acme"), account("first"));
        for (right, role) in [
            (Right::Admin, Role::TenantAdmin),
            (Right::Operator, Role::TenantOperator),
            (Right::Viewer, Role::TenantViewer),
        ] {
            // The same account each time: a repeat changes its right.
            let credentials = self.accounts.create_service_account(&acme, &first, right).await.unwrap();
            assert_eq!(credentials.client_id, "tenant.acme.first");
            let source = self.source(&credentials);
            let caller = caller(&self.verifier, &source).await.unwrap();
            assert_eq!((caller.client.as_str(), &caller.roles), ("tenant.acme.first", &vec![role]));
            assert_eq!(caller.require_tenant("name", "tenants/acme/agents/a").unwrap(), "acme");
            for other in ["tenants/acme-2", "tenants/acm", "tenants/demo"] {
                let refused = caller.require_tenant("name", other).unwrap_err();
                assert_eq!(reason_of(&refused), Some(ErrorReason::TenantMismatch), "{other}");
            }
            assert_shape("tenant.acme.first", &source.authorization().await.unwrap(), &OF_AN_ACCOUNT);
        }
        let nobody = self.accounts.create_service_account(&tenant("nobody"), &first, Right::Admin).await;
        assert!(matches!(nobody, Err(AccountsError::NotFound)), "{nobody:?}");
        self.accounts.delete_service_account(&acme, &first).await.unwrap();
        self.accounts.delete_service_account(&acme, &first).await.unwrap();
        self.done("service accounts and what their tokens are worth");
    }

    async fn secrets_rotate(&self) {
        let (acme, id) = (tenant("acme"), account("rotated"));
        let missing = self.accounts.rotate_secret(&acme, &id).await;
        assert!(matches!(missing, Err(AccountsError::NotFound)), "{missing:?}");
        let old = self.accounts.create_service_account(&acme, &id, Right::Viewer).await.unwrap();
        assert!(caller(&self.verifier, &self.source(&old)).await.is_ok());
        let client_secret = self.accounts.rotate_secret(&acme, &id).await.unwrap();
        let new = Credentials { client_secret, ..old.clone() };
        assert_ne!(old.client_secret, new.client_secret);
        self.assert_refused(&old, "the old secret").await;
        assert!(caller(&self.verifier, &self.source(&new)).await.is_ok());
        self.accounts.delete_service_account(&acme, &id).await.unwrap();
        self.assert_refused(&new, "a client that is gone").await;
        self.done("secrets, rotated");
    }

    async fn suspension_stops_new_tokens_of_that_tenant_only(&self) {
        let id = account("main");
        let [acme, other] = [tenant("acme"), tenant("acme-2")];
        let ours = self.accounts.create_service_account(&acme, &id, Right::Operator).await.unwrap();
        let theirs = self.accounts.create_service_account(&other, &id, Right::Operator).await.unwrap();
        for _ in 0..2 {
            self.accounts.set_tenant_enabled(&acme, false).await.unwrap();
        }
        self.assert_refused(&ours, "a suspended tenant").await;
        assert!(caller(&self.verifier, &self.source(&theirs)).await.is_ok(), "a tenant of a longer name");
        for _ in 0..2 {
            self.accounts.set_tenant_enabled(&acme, true).await.unwrap();
        }
        let source = self.source(&ours);
        let caller = caller(&self.verifier, &source).await.unwrap();
        assert_eq!((caller.roles, caller.tenants), (vec![Role::TenantOperator], vec!["acme".to_owned()]));
        assert_shape("after a suspension", &source.authorization().await.unwrap(), &OF_AN_ACCOUNT);
        self.done("suspension");
    }

    async fn people_are_members_by_their_address(&self) {
        let [acme, other] = [tenant("acme"), tenant("acme-2")];
        let ann =
            self.accounts.create_member(&acme, &address("Ann@Mail.example"), Right::Viewer).await.unwrap();
        let again =
            self.accounts.create_member(&acme, &address("ann@mail.example"), Right::Admin).await.unwrap();
        assert_eq!((&again.id, again.right), (&ann.id, Right::Admin));
        assert_eq!(again.email.expose(), "ann@mail.example");
        let there =
            self.accounts.create_member(&other, &address("ann@mail.example"), Right::Viewer).await.unwrap();
        assert_eq!(there.id, ann.id, "one person, two tenants");
        let bob =
            self.accounts.create_member(&acme, &address("bob@mail.example"), Right::Viewer).await.unwrap();

        let mut wanted = vec![again.clone(), bob.clone()];
        wanted.sort_by(|one, other| one.id.cmp(&other.id));
        assert_eq!(self.accounts.list_members(&acme).await.unwrap(), wanted, "and no service account");
        let updated = self.accounts.update_member(&acme, &bob.id, Right::Operator).await.unwrap();
        assert_eq!(updated.right, Right::Operator);
        for stranger in [there.id.as_str(), "00000000-0000-4000-8000-000000000000"] {
            let nowhere = tenant("acm");
            let refused = self.accounts.update_member(&nowhere, stranger, Right::Admin).await;
            assert!(matches!(refused, Err(AccountsError::NotFound)), "{stranger}: {refused:?}");
            self.accounts.delete_member(&nowhere, stranger).await.unwrap();
        }
        for _ in 0..2 {
            self.accounts.delete_member(&acme, &ann.id).await.unwrap();
        }
        assert_eq!(self.accounts.list_members(&acme).await.unwrap(), [updated]);
        assert_eq!(self.accounts.list_members(&other).await.unwrap(), [there], "a member there as before");
        self.done("members");
    }

    /// What svc-tenancy does at the issuer, nobody else can: not another service, and no tenant's administrator.
    async fn nobody_else_may_manage_accounts(&self, server: &dyn Server) {
        let id = account("curious");
        let admin = self.accounts.create_service_account(&tenant("acme"), &id, Right::Admin).await.unwrap();
        for source in [tokens(server.client("svc-media")), self.source(&admin)] {
            let theirs = Keycloak::new(http(), &server.realm_url(), source).unwrap();
            let refused = theirs.create_tenant(&tenant("evil")).await;
            assert!(matches!(refused, Err(AccountsError::Refused(_))), "{refused:?}");
            let refused = theirs.rotate_secret(&tenant("acme-2"), &account("main")).await;
            assert!(matches!(refused, Err(AccountsError::Refused(_))), "{refused:?}");
        }
        self.done("refusal of others");
    }

    async fn a_deleted_tenant_leaves_nothing(&self) {
        let [acme, other] = [tenant("acme"), tenant("acme-2")];
        let id = account("last");
        let last = self.accounts.create_service_account(&acme, &id, Right::Admin).await.unwrap();
        for _ in 0..2 {
            self.accounts.delete_tenant(&acme).await.unwrap();
        }
        self.assert_refused(&last, "a tenant that is gone").await;
        let missing = self.accounts.list_members(&acme).await;
        assert!(matches!(missing, Err(AccountsError::NotFound)), "{missing:?}");
        assert_eq!(self.accounts.list_members(&other).await.unwrap().len(), 1);
        self.accounts.rotate_secret(&other, &account("main")).await.unwrap();
        self.done("deletion");
    }
}

/// The realm's keys, counting how often they are fetched.
struct Counted {
    keys: HttpKeys,
    fetches: Arc<AtomicUsize>,
}

impl KeySource for Counted {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        self.fetches.fetch_add(1, SeqCst);
        self.keys.fetch()
    }
}

/// Moves the clock without letting the timers of sockets in flight run away.
async fn later(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration).await;
    tokio::time::resume();
}

async fn keys_rotate(server: &mut dyn Server) {
    let fetches = Arc::new(AtomicUsize::new(0));
    let http_keys = HttpKeys::new(http(), &server.realm_url()).unwrap();
    let keys = Keys::new(Counted { keys: http_keys, fetches: fetches.clone() });
    let verifier = Verifier::new(keys.clone(), expected(server));
    let old = tokens(server.client("svc-media"));
    caller(&verifier, &old).await.unwrap();
    assert_eq!(fetches.load(SeqCst), 1);
    let tenancy = accounts(server);
    tenancy.create_tenant(&tenant("rotated")).await.unwrap();

    server.rotate_key().await;
    later(REFETCH_INTERVAL).await;
    let new = tokens(server.client("svc-media"));
    for _ in 0..3 {
        caller(&verifier, &new).await.expect("a key that nobody has seen is looked for");
        caller(&verifier, &old).await.expect("the key before it still counts");
    }
    assert_eq!(fetches.load(SeqCst), 2, "one fetch found the new key");

    server.drop_old_key().await;
    keys.refresh().await.unwrap();
    let refused = caller(&verifier, &old).await.unwrap_err();
    assert_eq!(reason_of(&refused), Some(ErrorReason::TokenRefused), "a key that was removed");
    caller(&verifier, &new).await.unwrap();
    // The token that it has is of that key: it gets another.
    tenancy.create_tenant(&tenant("rotated")).await.unwrap();
    println!("identity suite: rotation of keys: ok on {}", server.name());
}

async fn an_issuer_that_is_away_gives_no_verdict(server: &mut dyn Server) {
    let verifier = verifier(server);
    let known = tokens(server.client("svc-media"));
    caller(&verifier, &known).await.unwrap();
    let (tenancy, blind) = (accounts(server), self::verifier(server));
    let unused = tokens(server.client("svc-dialogue"));
    server.stop().await;

    caller(&verifier, &known).await.expect("keys that were fetched go on counting");
    let no_verdict = caller(&blind, &known).await.unwrap_err();
    assert_eq!(reason_of(&no_verdict), Some(ErrorReason::IdentityUnavailable));
    assert_eq!(unused.authorization().await.unwrap_err().reason(), ErrorReason::IdentityUnavailable);
    let unavailable = tenancy.create_tenant(&tenant("acme-3")).await;
    assert!(matches!(unavailable, Err(AccountsError::Unavailable(_))), "{unavailable:?}");
}
