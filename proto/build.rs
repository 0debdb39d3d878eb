//! Compiles the contracts without a system protoc and keeps the encoded descriptor set with its options.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: &[&str] = &[
    "trunkline/auth/v1/options.proto",
    "trunkline/types/v1/audio.proto",
    "trunkline/types/v1/call.proto",
    "trunkline/types/v1/call_event.proto",
    "trunkline/types/v1/error_reason.proto",
    "trunkline/media/v1/media.proto",
    "trunkline/dialogue/v1/dialogue.proto",
    "trunkline/retrieval/v1/retrieval.proto",
    "trunkline/telephony/v1/telephony.proto",
    "trunkline/tenancy/v1/agents.proto",
    "trunkline/tenancy/v1/audit.proto",
    "trunkline/tenancy/v1/members.proto",
    "trunkline/tenancy/v1/phone_numbers.proto",
    "trunkline/tenancy/v1/routing.proto",
    "trunkline/tenancy/v1/tenants.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=trunkline");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // The compiler's own encoding keeps method options; a set decoded into prost-types would drop them.
    let encoded = compiler.encode_file_descriptor_set();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor_set.bin"), &encoded)?;
    let set = prost_types::FileDescriptorSet::decode(encoded.as_slice())?;
    tonic_prost_build::configure().bytes(".trunkline.types.v1.AudioFrame.payload").compile_fds(set)?;
    Ok(())
}
