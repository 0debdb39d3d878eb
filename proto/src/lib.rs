//! The contracts of Trunkline: generated types, clients and servers, and the descriptor set they came from.

/// The encoded `FileDescriptorSet` of every contract, imports, comments and method options included.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor_set.bin"));

macro_rules! package {
    ($name:ident, $package:literal) => {
        #[doc = concat!("Package `", $package, "`.")]
        #[allow(clippy::all, clippy::disallowed_methods)]
        pub mod $name {
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    };
}

package!(auth, "trunkline.auth.v1");
package!(types, "trunkline.types.v1");
package!(media, "trunkline.media.v1");
package!(dialogue, "trunkline.dialogue.v1");
package!(retrieval, "trunkline.retrieval.v1");
package!(telephony, "trunkline.telephony.v1");
package!(tenancy, "trunkline.tenancy.v1");

/// `std::time::Duration` to its wire form.
pub fn to_wire(duration: std::time::Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// A wire duration to `std::time::Duration`; negative and absurd values become zero.
pub fn from_wire(duration: &prost_types::Duration) -> std::time::Duration {
    let seconds = u64::try_from(duration.seconds).unwrap_or(0);
    let nanos = u32::try_from(duration.nanos).unwrap_or(0).min(999_999_999);
    std::time::Duration::new(seconds, nanos)
}
