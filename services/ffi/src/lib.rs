//! Bundles the C ABIs of every Rust crate into one static library: two static
//! libraries would each carry the Rust standard library and clash at link time.
pub use braid_jwt;
pub use braid_lexical;
pub use braid_markdown;
pub use braid_text;
