//! What each RPC asks of a token, read from the contracts themselves.

use std::{collections::HashMap, sync::Arc};

use http::{Request, Response};
use prost_reflect::{DescriptorPool, ExtensionDescriptor, MethodDescriptor, Value};
use proto::{auth::v1::Role, types::v1::ErrorReason};
use tonic::{Status, body::Body};

use super::{Caller, claims::Holder};
use crate::{
    BoxError, ServiceError,
    layers::{Inner, Step, refuse},
};

const OPTION: &str = "trunkline.auth.v1.access";
const OUR_PACKAGES: &str = "trunkline.";
/// The only services that answer without a token.
const EXEMPT: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Contracts that would leave a door open; a start-up error.
#[derive(Debug, thiserror::Error)]
pub enum UnguardedMethod {
    /// The descriptor set cannot be read.
    #[error("the descriptor set of the contracts cannot be read")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// The option is not among the contracts.
    #[error("the contracts do not define the option {OPTION}")]
    NoOption,
    /// A method does not say who may call it.
    #[error("{0} does not say who may call it; give it the option {OPTION} with at least one role")]
    Method(String),
}

/// The rights of every RPC, by path.
pub struct Contract {
    methods: HashMap<String, Method>,
    exempt: [Arc<str>; 3],
    unknown: Arc<str>,
}

/// One RPC of ours.
pub struct Method {
    label: Arc<str>,
    streaming: bool,
    /// Every role that suffices, the implied ones included.
    suffices: Vec<Role>,
}

/// What a path stands for.
#[derive(Clone, Copy)]
pub enum Rpc<'a> {
    /// An RPC of the contracts.
    Known(&'a Method),
    /// Health or reflection, which need no token.
    Exempt(&'a Arc<str>),
    /// Anything else, under one label.
    Unknown(&'a Arc<str>),
}

impl Rpc<'_> {
    /// A name for logs and metrics, of which there is a bounded number.
    pub fn label(self) -> Arc<str> {
        match self {
            Self::Known(method) => method.label.clone(),
            Self::Exempt(label) | Self::Unknown(label) => label.clone(),
        }
    }

    /// True when the RPC may last longer than a deadline for answers. Exempt services have streams that do.
    pub fn is_streaming(self) -> bool {
        match self {
            Self::Known(method) => method.streaming,
            Self::Exempt(_) => true,
            Self::Unknown(_) => false,
        }
    }
}

impl Contract {
    /// The rights that this build's contracts state.
    ///
    /// # Errors
    /// [`UnguardedMethod`] names the first RPC of ours without a role.
    pub fn load() -> Result<Self, UnguardedMethod> {
        Self::read(proto::FILE_DESCRIPTOR_SET)
    }

    fn read(descriptor_set: &[u8]) -> Result<Self, UnguardedMethod> {
        let pool = DescriptorPool::decode(descriptor_set)?;
        let option = pool.get_extension_by_name(OPTION).ok_or(UnguardedMethod::NoOption)?;
        let mut methods = HashMap::new();
        for service in pool.services().filter(|service| service.full_name().starts_with(OUR_PACKAGES)) {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let suffices = sufficient_roles(&method, &option)
                    .ok_or_else(|| UnguardedMethod::Method(method.full_name().to_owned()))?;
                let streaming = method.is_client_streaming() || method.is_server_streaming();
                methods.insert(path.clone(), Method { label: path[1..].into(), streaming, suffices });
            }
        }
        Ok(Self { methods, exempt: EXEMPT.map(Arc::from), unknown: "unknown".into() })
    }

    /// What a request's path stands for.
    pub fn rpc(&self, path: &str) -> Rpc<'_> {
        if let Some(method) = self.methods.get(path) {
            return Rpc::Known(method);
        }
        let service =
            path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
        let exempt = self.exempt.iter().find(|exempt| service == Some(exempt));
        exempt.map_or(Rpc::Unknown(&self.unknown), Rpc::Exempt)
    }
}

/// The roles that the option names and those that imply them; `None` if it names none, or one that is no role.
fn sufficient_roles(method: &MethodDescriptor, option: &ExtensionDescriptor) -> Option<Vec<Role>> {
    let options = method.options();
    let access = options.get_extension(option);
    let any_of = access.as_message()?.get_field_by_name("any_of")?;
    let mut roles = Vec::new();
    for value in any_of.as_list()? {
        let Value::EnumNumber(number) = value else { return None };
        let role = Role::try_from(*number).ok().filter(|role| *role != Role::Unspecified)?;
        roles.extend(implied_by(role).iter().copied().chain([role]));
    }
    roles.sort_unstable();
    roles.dedup();
    (!roles.is_empty()).then_some(roles)
}

/// The roles that hold a role's right as well.
fn implied_by(role: Role) -> &'static [Role] {
    match role {
        Role::TenantViewer => &[Role::TenantOperator, Role::TenantAdmin, Role::PlatformAdmin],
        Role::TenantOperator => &[Role::TenantAdmin, Role::PlatformAdmin],
        Role::TenantAdmin => &[Role::PlatformAdmin],
        _ => &[],
    }
}

/// Every role and its name in a token.
const ROLE_NAMES: [(Role, &str); 9] = [
    (Role::PlatformAdmin, "platform-admin"),
    (Role::TenantAdmin, "tenant-admin"),
    (Role::TenantOperator, "tenant-operator"),
    (Role::TenantViewer, "tenant-viewer"),
    (Role::SvcTelephonyGw, "svc-telephony-gw"),
    (Role::SvcMedia, "svc-media"),
    (Role::SvcDialogue, "svc-dialogue"),
    (Role::SvcRetrieval, "svc-retrieval"),
    (Role::SvcTenancy, "svc-tenancy"),
];

/// A role's name in a token.
pub fn role_name(role: Role) -> &'static str {
    ROLE_NAMES.iter().find(|(known, _)| *known == role).map_or("", |(_, name)| name)
}

/// The role of a name in a token; most names there are not ours.
pub(crate) fn role_of(name: &str) -> Option<Role> {
    ROLE_NAMES.iter().find(|(_, known)| *known == name).map(|(role, _)| *role)
}

/// Server side, after authentication.
#[derive(Clone)]
pub(crate) struct Authorise {
    contract: Arc<Contract>,
}

impl Authorise {
    pub(crate) fn new(contract: Arc<Contract>) -> Self {
        Self { contract }
    }
}

impl Step for Authorise {
    async fn run<S: Inner>(
        &self,
        mut request: Request<Body>,
        mut inner: S,
    ) -> Result<Response<Body>, BoxError> {
        let method = match self.contract.rpc(request.uri().path()) {
            Rpc::Exempt(_) => return inner.call(request).await,
            Rpc::Unknown(_) => {
                return Ok(Status::unimplemented("no such method; see the contracts in proto/").into_http());
            }
            Rpc::Known(method) => method,
        };
        let holder = request.extensions_mut().remove::<Arc<Holder>>();
        if let Some(caller) = holder.as_deref().and_then(|holder| authorised(holder, &method.suffices)) {
            request.extensions_mut().insert(caller);
            return inner.call(request).await;
        }
        let client = holder.as_deref().map_or("", |holder| &holder.caller.client);
        tracing::info!(method = %method.label, client, "role missing");
        let error = ServiceError::new(
            ErrorReason::RoleMissing,
            "the token's roles do not allow this method; its contract names those that do",
        );
        Ok(refuse(error))
    }
}

/// The caller for a method, if their roles suffice, with the tenants in which they do.
fn authorised(holder: &Holder, suffices: &[Role]) -> Option<Caller> {
    let mut caller = holder.caller.clone();
    if !caller.roles.iter().any(|role| suffices.contains(role)) {
        return None;
    }
    let named = caller.tenants.len();
    caller.tenants.retain(|tenant| holder.rights.get(tenant).is_some_and(|right| suffices.contains(right)));
    let lost_all = named > 0 && caller.tenants.is_empty();
    (!lost_all || caller.spans_tenants()).then_some(caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_of_one_tenant_opens_no_other() {
        let rights = [("acme", Role::TenantViewer), ("mine", Role::TenantAdmin)];
        let caller = Caller {
            subject: "s".into(),
            client: "c".into(),
            roles: vec![Role::TenantAdmin, Role::TenantViewer],
            tenants: vec!["acme".into(), "mine".into()],
            ..Caller::default()
        };
        let rights = rights.map(|(tenant, right)| (tenant.to_owned(), right)).into();
        let mut holder = Holder { caller, rights };
        let contract = Contract::load().unwrap();
        let write = suffices(&contract, "/trunkline.retrieval.v1.DocumentService/CreateDocument");
        let read = suffices(&contract, "/trunkline.retrieval.v1.DocumentService/GetDocument");
        assert_eq!(authorised(&holder, write).unwrap().tenants, ["mine"]);
        assert_eq!(authorised(&holder, read).unwrap().tenants, ["acme", "mine"]);
        holder.rights.remove("mine");
        assert!(authorised(&holder, write).is_none());
        holder.caller.roles = vec![Role::PlatformAdmin];
        assert!(authorised(&holder, write).unwrap().spans_tenants());
    }

    fn suffices<'a>(contract: &'a Contract, path: &str) -> &'a [Role] {
        match contract.rpc(path) {
            Rpc::Known(method) => &method.suffices,
            _ => panic!("{path} is not in the contracts"),
        }
    }

    #[test]
    fn a_stronger_tenant_right_suffices_and_a_service_role_implies_nothing() {
        let contract = Contract::load().unwrap();
        let get_document = suffices(&contract, "/trunkline.retrieval.v1.DocumentService/GetDocument");
        assert_eq!(
            get_document,
            [Role::PlatformAdmin, Role::TenantAdmin, Role::TenantOperator, Role::TenantViewer]
        );
        let create = suffices(&contract, "/trunkline.retrieval.v1.DocumentService/CreateDocument");
        assert_eq!(create, [Role::PlatformAdmin, Role::TenantAdmin, Role::TenantOperator]);
        let resolve = suffices(&contract, "/trunkline.tenancy.v1.RoutingService/ResolveNumber");
        assert_eq!(resolve, [Role::SvcTelephonyGw]);
    }

    #[test]
    fn paths_are_what_they_say_and_no_prefix_of_it() {
        let contract = Contract::load().unwrap();
        assert!(matches!(contract.rpc("/grpc.health.v1.Health/Check"), Rpc::Exempt(_)));
        for path in
            ["/grpc.health.v1.HealthEvil/Check", "grpc.health.v1.Health/Check", "/grpc.health.v1.Health", ""]
        {
            assert!(matches!(contract.rpc(path), Rpc::Unknown(_)), "{path}");
        }
        assert!(contract.rpc("/trunkline.media.v1.MediaService/StreamCall").is_streaming());
    }

    #[test]
    fn a_method_without_a_role_is_named() {
        use prost_reflect::prost::Message;
        use prost_reflect::prost_types::FileDescriptorSet;
        // Decoding into plain types drops the option from every method: each is then an open door.
        let stripped = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).unwrap().encode_to_vec();
        let Err(UnguardedMethod::Method(name)) = Contract::read(&stripped) else { panic!("accepted") };
        assert!(name.starts_with("trunkline."), "{name}");
    }

    #[test]
    fn every_role_has_a_name() {
        for number in 1..=9 {
            let role = Role::try_from(number).unwrap();
            assert_eq!(role_of(role_name(role)), Some(role));
        }
        assert_eq!(role_of(""), None);
    }
}
