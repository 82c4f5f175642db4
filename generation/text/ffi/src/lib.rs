//! HF tokenizers and chat templates behind a C ABI.
