//! Every RPC of ours, from the descriptors: who may call it, and a request of it that names a tenant.

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value,
};
use proto::auth::v1::Role;

/// An RPC.
pub struct Rpc {
    /// `/trunkline.tenancy.v1.AgentService/GetAgent`.
    pub path: String,
    pub streams: bool,
    /// Every role that suffices.
    pub suffices: Vec<Role>,
    input: MessageDescriptor,
}

/// Every role.
pub fn roles() -> impl Iterator<Item = Role> {
    (1..=9).filter_map(|number| Role::try_from(number).ok())
}

/// Whether a role is a right within a tenant.
pub fn is_tenants(role: Role) -> bool {
    matches!(role, Role::TenantViewer | Role::TenantOperator | Role::TenantAdmin)
}

/// All of them.
pub fn all() -> Vec<Rpc> {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).expect("the contracts");
    let access = pool.get_extension_by_name("trunkline.auth.v1.access").expect("the option");
    let ours = pool.services().filter(|service| service.full_name().starts_with("trunkline."));
    let methods = ours.flat_map(|service| service.methods().collect::<Vec<_>>());
    methods
        .map(|method| {
            let options = method.options();
            let any_of = options.get_extension(&access).as_message().and_then(|access| {
                let roles = access.get_field_by_name("any_of")?;
                let number = |role: &Value| role.as_enum_number().and_then(|role| Role::try_from(role).ok());
                Some(roles.as_list()?.iter().filter_map(number).collect::<Vec<_>>())
            });
            let any_of = any_of.expect("a right in the contract");
            Rpc {
                path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
                streams: method.is_client_streaming() || method.is_server_streaming(),
                suffices: roles().filter(|role| any_of.iter().any(|named| implies(*role, *named))).collect(),
                input: method.input(),
            }
        })
        .collect()
}

/// As `options.proto` says it: the stronger rights hold the weaker ones.
fn implies(role: Role, named: Role) -> bool {
    let strength = |role| match role {
        Role::TenantViewer => Some(1),
        Role::TenantOperator => Some(2),
        Role::TenantAdmin => Some(3),
        Role::PlatformAdmin => Some(4),
        _ => None,
    };
    role == named || strength(named).is_some_and(|named| strength(role).is_some_and(|role| role > named))
}

impl Rpc {
    /// Whether somebody may call it for a right within a tenant.
    pub fn is_for_tenants(&self) -> bool {
        self.suffices.iter().any(|role| is_tenants(*role))
    }

    /// An encoded request with a resource name of this tenant where the contract's comments ask for one.
    pub fn request_of(&self, tenant: &str) -> Option<Vec<u8>> {
        use prost_reflect::prost::Message;
        let mut message = DynamicMessage::new(self.input.clone());
        name_tenant(&mut message, tenant, 0).then(|| message.encode_to_vec())
    }
}

/// Fills the first field that is a resource's name: `parent`, `name`, or such a field of the resource itself.
fn name_tenant(message: &mut DynamicMessage, tenant: &str, depth: usize) -> bool {
    let fields: Vec<_> = message.descriptor().fields().filter(|field| !field.is_list()).collect();
    for field in &fields {
        if matches!(field.kind(), Kind::String)
            && let Some(pattern) = pattern_of(field)
        {
            let name = pattern.replace("{tenant}", tenant);
            // What the demo's tenant has.
            let parts = name.split('/').map(|part| match part {
                "{agent}" => "front-desk",
                "{document}" => "meals",
                id if id.starts_with('{') => "12025550100",
                part => part,
            });
            message.set_field(field, Value::String(parts.collect::<Vec<_>>().join("/")));
            return true;
        }
    }
    fields.iter().filter(|_| depth == 0).any(|field| {
        let Kind::Message(inner) = field.kind() else { return false };
        let mut inner = DynamicMessage::new(inner);
        let named = name_tenant(&mut inner, tenant, depth + 1);
        if named {
            message.set_field(field, Value::Message(inner));
        }
        named
    })
}

/// The form of a resource's name in a field's comment: "`tenants/{tenant}/agents/{agent}`".
fn pattern_of(field: &FieldDescriptor) -> Option<String> {
    let file = field.parent_file();
    let locations = &file.file_descriptor_proto().source_code_info.as_ref()?.location;
    let comment =
        locations.iter().find(|location| location.path == field.path())?.leading_comments.as_ref()?;
    let pattern = comment.split('`').find(|quoted| quoted.starts_with("tenants/{tenant}"))?;
    Some(pattern.to_owned())
}
