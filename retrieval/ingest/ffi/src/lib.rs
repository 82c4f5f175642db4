//! CommonMark block structure with source byte ranges, behind a C ABI.
