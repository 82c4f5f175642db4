//! CommonMark block structure with source byte ranges, behind a C ABI.
//! The contract of every export is in `markdown_ffi.h`.

mod blocks;

use std::ffi::{c_char, c_int, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;

pub use blocks::{Block, BlockKind, Document};

const OK: c_int = 0;
const INVALID_ARGUMENT: c_int = 1;
const INTERNAL: c_int = 2;

fn set_error(error: *mut *mut c_char, message: &str) {
    if error.is_null() {
        return;
    }
    let clean = message.replace('\0', " ");
    let text = CString::new(clean).map_or(ptr::null_mut(), CString::into_raw);
    // SAFETY: `error` is not null and the caller owns the place it points to.
    unsafe { *error = text };
}

fn panic_message(panic: Box<dyn std::any::Any + Send>) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_string()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "panic".to_string()
    }
}

/// # Safety
/// `text` points to `length` readable bytes; `document` to a writable pointer;
/// `error` to a writable pointer or null.
#[no_mangle]
pub unsafe extern "C" fn braid_markdown_parse(
    text: *const c_char,
    length: usize,
    document: *mut *mut Document,
    error: *mut *mut c_char,
) -> c_int {
    if document.is_null() || (text.is_null() && length != 0) {
        set_error(error, "null argument");
        return INVALID_ARGUMENT;
    }
    let bytes: &[u8] = if length == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(text.cast::<u8>(), length)
    };
    let source = match std::str::from_utf8(bytes) {
        Ok(source) => source,
        Err(utf8) => {
            set_error(error, &format!("not UTF-8 at byte {}", utf8.valid_up_to()));
            return INVALID_ARGUMENT;
        }
    };
    match catch_unwind(AssertUnwindSafe(|| blocks::parse(source))) {
        Ok(parsed) => {
            *document = Box::into_raw(Box::new(parsed));
            OK
        }
        Err(panic) => {
            set_error(error, &panic_message(panic));
            INTERNAL
        }
    }
}

/// # Safety
/// `document` comes from braid_markdown_parse; `count` is writable.
#[no_mangle]
pub unsafe extern "C" fn braid_markdown_blocks(
    document: *const Document,
    count: *mut usize,
) -> *const Block {
    if document.is_null() || count.is_null() {
        return ptr::null();
    }
    let blocks = &(*document).blocks;
    *count = blocks.len();
    blocks.as_ptr()
}

/// # Safety
/// `document` comes from braid_markdown_parse; `length` is writable.
#[no_mangle]
pub unsafe extern "C" fn braid_markdown_headings(
    document: *const Document,
    length: *mut usize,
) -> *const c_char {
    if document.is_null() || length.is_null() {
        return ptr::null();
    }
    let headings = &(*document).headings;
    *length = headings.len();
    headings.as_ptr().cast::<c_char>()
}

/// # Safety
/// `document` comes from braid_markdown_parse; `begin` and `end` are writable.
#[no_mangle]
pub unsafe extern "C" fn braid_markdown_front_matter(
    document: *const Document,
    begin: *mut u64,
    end: *mut u64,
) -> c_int {
    if document.is_null() || begin.is_null() || end.is_null() {
        return INVALID_ARGUMENT;
    }
    let range = &(*document).front_matter;
    *begin = range.start as u64;
    *end = range.end as u64;
    OK
}

/// # Safety
/// `document` comes from braid_markdown_parse or is null; it is not used again.
#[no_mangle]
pub unsafe extern "C" fn braid_markdown_free(document: *mut Document) {
    if !document.is_null() {
        let owned = Box::from_raw(document);
        let _ = catch_unwind(AssertUnwindSafe(move || drop(owned)));
    }
}

/// # Safety
/// `error` comes from braid_markdown_parse or is null; it is not used again.
#[no_mangle]
pub unsafe extern "C" fn braid_markdown_free_error(error: *mut c_char) {
    if !error.is_null() {
        drop(CString::from_raw(error));
    }
}
