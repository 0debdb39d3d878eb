//! Builds the roles of a node in dependency order. The only file that knows which hop is local and which is remote.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use dialogue::Dialogue;
use media::Media;
use mesh::{
    ClientStack, Drain, Hop, Limits, Stack, Tls,
    auth::{Contract, Issuer, Verifier},
    serve::Health,
};
use proto::{
    dialogue::v1::{
        dialogue_service_client::DialogueServiceClient, dialogue_service_server::DialogueServiceServer,
    },
    media::v1::{media_service_client::MediaServiceClient, media_service_server::MediaServiceServer},
    retrieval::v1::{
        document_service_server::DocumentServiceServer, retrieval_service_client::RetrievalServiceClient,
        retrieval_service_server::RetrievalServiceServer,
    },
    telephony::v1::call_service_server::CallServiceServer,
    tenancy::v1::{
        agent_service_client::AgentServiceClient, agent_service_server::AgentServiceServer,
        audit_service_server::AuditServiceServer, member_service_server::MemberServiceServer,
        phone_number_service_server::PhoneNumberServiceServer, routing_service_client::RoutingServiceClient,
        routing_service_server::RoutingServiceServer, tenant_service_server::TenantServiceServer,
    },
};
use retrieval::Retrieval;
use telephony_gw::{ExotelAccount, TelephonyGw, TwilioAccount};
use tenancy::Tenancy;
use tokio::{net::TcpListener, task::JoinSet};
use tonic::service::{Routes, RoutesBuilder};
use url::Url;

use crate::{
    Config, Role, admin,
    config::known_vendor,
    exit::{Exit, chain},
    http,
    identity::{self, Identity},
    preflight, telemetry,
};

/// How long work has to end after the drain's deadline has passed.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// The origin of Twilio's REST API, where no other is set.
const TWILIO_API: &str = "https://api.twilio.com";
/// The same of Exotel's, in Mumbai.
const EXOTEL_API: &str = "https://api.in.exotel.com";

/// What a node is to be.
pub struct Plan {
    /// Its configuration, with a base URL for each vendor that a rehearsal stands in for.
    pub config: Config,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// Run the development issuer, and seed the tenant `demo`.
    pub development: bool,
}

/// A running node.
pub struct Node {
    /// Where carriers call, if telephony-gw runs here.
    pub http: Option<SocketAddr>,
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where health and metrics are served.
    pub admin: SocketAddr,
    /// The development issuer, if it runs here.
    pub issuer: Option<Issuer>,
    /// Ends the node.
    pub drain: Drain,
    retrieval: Option<Retrieval>,
    health: Health,
    tasks: JoinSet<Result<(), String>>,
    drain_deadline: Duration,
}

struct Composer {
    config: Config,
    roles: BTreeSet<Role>,
    identity: Identity,
    contract: Arc<Contract>,
    stack: Stack,
    tls: Option<Tls>,
    drain: Drain,
    /// The services of the roles that run here.
    local: BTreeMap<Role, Routes>,
}

impl Node {
    /// Binds the addresses, builds the roles and serves.
    ///
    /// # Errors
    /// 64 for a configuration that does not fit the roles, 69 for an address or a service that cannot be had.
    pub async fn start(plan: Plan) -> Result<Self, Exit> {
        let Plan { mut config, roles, development } = plan;
        preflight::check(&config, &roles, development)?;
        let http_listener =
            if roles.contains(&Role::TelephonyGw) { Some(bind(config.http_addr).await?) } else { None };
        let grpc_listener = bind(config.grpc_addr).await?;
        let admin_listener = bind(config.admin_addr).await?;
        let address = |listener: &TcpListener| listener.local_addr().map_err(Exit::unavailable);
        let (grpc, admin) = (address(&grpc_listener)?, address(&admin_listener)?);
        let http = http_listener.as_ref().map(address).transpose()?;
        if let (None, Some(http)) = (&config.public_url, http) {
            config.public_url = Some(origin(http)?);
        }

        let drain = Drain::new();
        let mut tasks = JoinSet::new();
        let (identity, keys, expected) = Identity::new(&config, development, admin)?;
        let router =
            admin::router(keys.clone(), drain.clone(), telemetry::metrics()?, identity.issuer.as_ref());
        serve_http(&mut tasks, admin_listener, router, &drain);
        tasks.spawn({
            let (keys, drain) = (keys.clone(), drain.clone());
            async move {
                keys.run(drain).await;
                Ok(())
            }
        });

        tasks.spawn({
            let drain = drain.clone();
            async move {
                telemetry::upkeep(drain).await;
                Ok(())
            }
        });
        let contract = Arc::new(Contract::load().map_err(Exit::internal)?);
        // A call holds a stream on each of three hops of an all-in-one node.
        let limits = Limits { stream_count: config.calls_max * 3 + 256, ..Limits::default() };
        let stack = Stack::new(contract.clone(), Verifier::new(keys.clone(), expected), limits);
        let tls = identity::tls(&config)?;
        let drain_deadline = config.drain_deadline;
        let mut composer = Composer {
            config,
            roles,
            identity,
            contract,
            stack,
            tls,
            drain: drain.clone(),
            local: BTreeMap::new(),
        };
        let (gateway, retrieval) = composer.build(development).await?;
        if let (Some(listener), Some(gateway)) = (http_listener, gateway) {
            serve_http(&mut tasks, listener, gateway.router(), &drain);
        }
        if let Some(role) = composer.roles.iter().copied().find(|role| role.needs().contains(&Role::Tenancy))
        {
            let tenancy = RoutingServiceClient::new(composer.hop(role, Role::Tenancy)?);
            let (inactive, drain) = (composer.stack.inactive_tenants(), drain.clone());
            tasks.spawn(async move {
                inactive.run(tenancy, drain).await;
                Ok(())
            });
        }
        let (routes, health) = composer.routes().await?;
        let serving =
            mesh::serve::serve(grpc_listener, routes, &composer.stack, composer.tls.as_ref(), drain.clone())
                .map_err(|error| Exit::configuration(chain(&error)))?;
        tasks.spawn(async move { serving.await.map_err(|error| chain(&error)) });
        identity::first_keys(&keys).await?;
        health.serving().await;
        let issuer = composer.identity.issuer.clone();
        Ok(Self { http, grpc, admin, issuer, drain, retrieval, health, tasks, drain_deadline })
    }

    /// Waits until the first pass over the documents is over, or the time is.
    pub async fn documents_ready(&self, limit: Duration) {
        if let Some(retrieval) = &self.retrieval {
            let _ = tokio::time::timeout(limit, retrieval.ready()).await;
        }
    }

    /// Resolves with the reason if a part of the node fails.
    pub async fn failed(&mut self) -> String {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(reason))) => return reason,
                Some(Err(error)) => return error.to_string(),
                None => std::future::pending().await,
            }
        }
    }

    /// Drains: takes no new call, lets the calls in flight end, and stops. Returns how many calls were cut.
    pub async fn stop(mut self) -> usize {
        self.health.not_serving().await;
        let left = self.drain.run(self.drain_deadline, DRAIN_GRACE).await;
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN_GRACE, all).await;
        left
    }
}

impl Composer {
    async fn build(&mut self, development: bool) -> Result<(Option<TelephonyGw>, Option<Retrieval>), Exit> {
        let runs = self.roles.clone();
        if runs.contains(&Role::Tenancy) {
            self.tenancy(development).await?;
        }
        let retrieval =
            if runs.contains(&Role::Retrieval) { Some(self.retrieval(development).await?) } else { None };
        if runs.contains(&Role::Dialogue) {
            self.dialogue()?;
        }
        if runs.contains(&Role::Media) {
            self.media()?;
        }
        let gateway = if runs.contains(&Role::TelephonyGw) { Some(self.telephony_gw()?) } else { None };
        Ok((gateway, retrieval))
    }

    async fn tenancy(&mut self, development: bool) -> Result<(), Exit> {
        let keys = self.config.vendors.iter();
        let provider_keys =
            keys.filter_map(|(name, vendor)| Some(((*name).to_owned(), vendor.api_key.clone()?))).collect();
        let config = tenancy::Config {
            accounts: self.identity.accounts()?,
            database_url: self.config.database_url.clone(),
            provider_keys,
            seed_demo: development,
            ..tenancy::Config::new(self.config.data_dir.clone())
        };
        let tenancy = Tenancy::open(config).await.map_err(|error| match &error {
            tenancy::Error::Database(cause) if cause.is_configuration() => {
                Exit::configuration(format!("database.url (DATABASE_URL): {}", chain(&error)))
            }
            _ => Exit::unavailable(chain(&error)),
        })?;
        let mut routes = RoutesBuilder::default();
        routes.add_service(AgentServiceServer::new(tenancy.agent_service()));
        routes.add_service(AuditServiceServer::new(tenancy.audit_service()));
        routes.add_service(MemberServiceServer::new(tenancy.member_service()));
        routes.add_service(PhoneNumberServiceServer::new(tenancy.phone_number_service()));
        routes.add_service(RoutingServiceServer::new(tenancy.routing_service()));
        routes.add_service(TenantServiceServer::new(tenancy.tenant_service()));
        self.local.insert(Role::Tenancy, routes.routes());
        Ok(())
    }

    async fn retrieval(&mut self, development: bool) -> Result<Retrieval, Exit> {
        let config = retrieval::Config {
            documents_dir: self.config.documents_dir.clone(),
            seed: if development { retrieval::demo_documents() } else { &[] },
            voyage_base_url: self.config.vendors["voyage"].base_url.clone(),
            ..retrieval::Config::new(&self.config.data_dir)
        };
        let routing = RoutingServiceClient::new(self.hop(Role::Retrieval, Role::Tenancy)?);
        let retrieval =
            Retrieval::start(config, routing).await.map_err(|error| Exit::unavailable(chain(&error)))?;
        let mut routes = RoutesBuilder::default();
        routes.add_service(RetrievalServiceServer::new(retrieval.retrieval_service()));
        routes.add_service(DocumentServiceServer::new(retrieval.document_service()));
        self.local.insert(Role::Retrieval, routes.routes());
        Ok(retrieval)
    }

    fn dialogue(&mut self) -> Result<(), Exit> {
        let defaults = dialogue::Config::default();
        let config = dialogue::Config {
            anthropic_base_url: self.vendor_url("anthropic")?,
            anthropic_version: self.config.anthropic_version.clone(),
            model_override: self.config.anthropic_model.clone(),
            fallback_model: self.config.anthropic_fallback_model.clone(),
            max_tokens: self.config.anthropic_max_tokens,
            ..defaults
        };
        let tenancy = self.hop(Role::Dialogue, Role::Tenancy)?;
        let retrieval = self.hop(Role::Dialogue, Role::Retrieval)?;
        let dialogue = Dialogue::new(
            config,
            RoutingServiceClient::new(tenancy.clone()),
            AgentServiceClient::new(tenancy),
            RetrievalServiceClient::new(retrieval),
            self.drain.clone(),
        )
        .map_err(|error| Exit::unavailable(chain(&error)))?;
        let service = DialogueServiceServer::new(dialogue.service())
            .max_decoding_message_size(mesh::serve::STREAM_MESSAGE_MAX_BYTES);
        self.local.insert(Role::Dialogue, Routes::new(service));
        Ok(())
    }

    fn media(&mut self) -> Result<(), Exit> {
        let config = media::Config {
            deepgram_base_url: self.vendor_url("deepgram")?,
            deepgram_model: self.config.deepgram_model.clone(),
            cartesia_base_url: self.vendor_url("cartesia")?,
            sarvam_base_url: self.vendor_url("sarvam")?,
            vad: media::vad::Config {
                engine: match self.config.vad_engine.as_str() {
                    "onnx" => media::vad::Engine::Onnx,
                    _ => media::vad::Engine::Silero,
                },
                onnx_library: self.config.vad_onnxruntime_lib.clone(),
                ..media::vad::Config::default()
            },
            vad_threads: self.config.vad_threads,
            call_duration_max: self.config.call_duration_max,
        };
        let tenancy = self.hop(Role::Media, Role::Tenancy)?;
        let dialogue = DialogueServiceClient::new(self.hop(Role::Media, Role::Dialogue)?)
            .max_decoding_message_size(mesh::serve::STREAM_MESSAGE_MAX_BYTES);
        let media = Media::new(
            config,
            dialogue,
            RoutingServiceClient::new(tenancy.clone()),
            AgentServiceClient::new(tenancy),
            self.drain.clone(),
        )
        .map_err(|error| Exit::configuration(chain(&error)))?;
        let service = MediaServiceServer::new(media.service())
            .max_decoding_message_size(mesh::serve::STREAM_MESSAGE_MAX_BYTES);
        self.local.insert(Role::Media, Routes::new(service));
        Ok(())
    }

    fn telephony_gw(&mut self) -> Result<TelephonyGw, Exit> {
        let public_url = self
            .config
            .public_url
            .clone()
            .ok_or_else(|| Exit::configuration("public_url: must be set where telephony-gw runs"))?;
        let api_url = match &self.config.twilio_base_url {
            Some(url) => url.clone(),
            None => TWILIO_API.parse().map_err(Exit::internal)?,
        };
        let twilio = self.config.twilio_auth_token.clone().map(|auth_token| TwilioAccount {
            auth_token,
            account_sid: self.config.twilio_account_sid.clone(),
            api_url,
        });
        let mut config = telephony_gw::Config::new(public_url, self.config.node.clone(), twilio);
        let exotel = &self.config.exotel;
        let exotel_url = match &exotel.base_url {
            Some(url) => url.clone(),
            None => EXOTEL_API.parse().map_err(Exit::internal)?,
        };
        config.exotel = exotel.webhook_secret.clone().map(|secret| ExotelAccount {
            secret,
            account_sid: exotel.account_sid.clone(),
            networks: exotel.networks.clone(),
            sample_rate_hz: exotel.sample_rate_hz,
            api_key: exotel.api_key.clone(),
            api_token: exotel.api_token.clone(),
            api_url: exotel_url,
        });
        config.calls_max = self.config.calls_max;
        let limited = self.config.vendors.iter();
        config.vendor_calls_max =
            limited.filter_map(|(name, vendor)| Some((*name, vendor.calls_max?))).collect();
        let media = MediaServiceClient::new(self.hop(Role::TelephonyGw, Role::Media)?)
            .max_decoding_message_size(mesh::serve::STREAM_MESSAGE_MAX_BYTES);
        let routing = RoutingServiceClient::new(self.hop(Role::TelephonyGw, Role::Tenancy)?);
        let agents = AgentServiceClient::new(self.hop(Role::TelephonyGw, Role::Tenancy)?);
        let gateway = TelephonyGw::new(config, media, routing, agents, self.drain.clone())
            .map_err(|error| Exit::unavailable(chain(&error)))?;
        self.local.insert(Role::TelephonyGw, Routes::new(CallServiceServer::new(gateway.call_service())));
        Ok(gateway)
    }

    /// The way from one role to another: in this process if it runs here, else to the configured address.
    fn hop(&self, from: Role, to: Role) -> Result<Hop, Exit> {
        let client = ClientStack::new(self.contract.clone(), Some(self.identity.tokens(from)?));
        if let Some(routes) = self.local.get(&to) {
            return Ok(mesh::hop::local(routes.clone().prepare(), &self.stack, &client));
        }
        let url = self
            .config
            .peers
            .get(&to)
            .ok_or_else(|| Exit::configuration(preflight::missing_peer(from, to)))?;
        mesh::hop::remote(url, self.tls.as_ref(), &client).map_err(|error| {
            Exit::configuration(format!("peers.{}: {}", to.name().replace('-', "_"), chain(&error)))
        })
    }

    /// Everything that the gRPC address serves.
    async fn routes(&self) -> Result<(Routes, Health), Exit> {
        let names: Vec<&'static str> =
            self.local.keys().flat_map(|role| service_names(*role)).copied().collect();
        let (routes, health) =
            mesh::serve::routes(&names).await.map_err(|error| Exit::internal(chain(&error)))?;
        let mut router = routes.into_axum_router();
        for role in self.local.values() {
            router = router.merge(without_fallback(role));
        }
        Ok((Routes::from(router), health))
    }

    fn vendor_url(&self, vendor: &str) -> Result<Url, Exit> {
        match &self.config.vendors[vendor].base_url {
            Some(url) => Ok(url.clone()),
            None => known_vendor(vendor).origin.parse().map_err(Exit::internal),
        }
    }
}

fn without_fallback(routes: &Routes) -> axum::Router {
    routes.clone().into_axum_router().reset_fallback()
}

fn service_names(role: Role) -> &'static [&'static str] {
    match role {
        Role::TelephonyGw => &["trunkline.telephony.v1.CallService"],
        Role::Media => &["trunkline.media.v1.MediaService"],
        Role::Dialogue => &["trunkline.dialogue.v1.DialogueService"],
        Role::Retrieval => {
            &["trunkline.retrieval.v1.RetrievalService", "trunkline.retrieval.v1.DocumentService"]
        }
        Role::Tenancy => &[
            "trunkline.tenancy.v1.AgentService",
            "trunkline.tenancy.v1.AuditService",
            "trunkline.tenancy.v1.MemberService",
            "trunkline.tenancy.v1.PhoneNumberService",
            "trunkline.tenancy.v1.RoutingService",
            "trunkline.tenancy.v1.TenantService",
        ],
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Exit> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Exit::unavailable(format!("cannot listen on {address}: {error}")))
}

fn origin(address: SocketAddr) -> Result<Url, Exit> {
    format!("http://{address}").parse().map_err(Exit::internal)
}

fn serve_http(
    tasks: &mut JoinSet<Result<(), String>>,
    listener: TcpListener,
    router: axum::Router,
    drain: &Drain,
) {
    let drain = drain.clone();
    tasks.spawn(async move {
        http::serve(listener, router, drain).await;
        Ok(())
    });
}
