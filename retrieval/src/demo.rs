//! What the demo's agent knows: a few documents about a hotel that does not exist.

macro_rules! document {
    ($id:literal) => {
        ($id, include_str!(concat!("../../deploy/demo/documents/demo/", $id, ".md")))
    };
}

/// The documents of the tenant `demo`: id and Markdown text.
pub fn demo_documents() -> &'static [(&'static str, &'static str)] {
    &[
        document!("contact"),
        document!("house-rules"),
        document!("meals"),
        document!("parking-and-travel"),
        document!("rooms-and-prices"),
    ]
}
