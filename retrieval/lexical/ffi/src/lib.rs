//! BM25 on Tantivy behind a C ABI.
