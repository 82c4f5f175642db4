//! HF tokenizers and chat templates behind a C ABI (see `text_ffi.h`).
//!
//! Text from users and documents must never become a control token, so there
//! are two ways to encode: text that a template made may hold control tokens,
//! any other text may not.

mod chat;
mod control;
mod ffi;
mod json;
mod strftime;
mod tokenizer;

pub use ffi::*;
