//! The exported functions. Every one checks its pointers, turns panics into an
//! error and hands out memory that only this crate frees.

use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::chat::ChatTemplate;
use crate::tokenizer::{EncodeFlags, TextTokenizer, Tokens};

pub const OK: i32 = 0;
pub const INVALID: i32 = 1;
pub const INTERNAL: i32 = 2;

/// Bytes owned by this crate.
#[repr(C)]
pub struct BraidTextBuffer {
    pub data: *mut u8,
    pub len: usize,
}

/// Token ids, and two byte offsets for each where they were asked for.
#[repr(C)]
pub struct BraidTextTokens {
    pub ids: *mut u32,
    pub spans: *mut u32,
    pub len: usize,
}

fn into_raw<T>(values: Vec<T>) -> *mut T {
    if values.is_empty() {
        return std::ptr::null_mut();
    }
    Box::into_raw(values.into_boxed_slice()).cast()
}

/// # Safety
/// `data` and `len` must come from `into_raw`.
unsafe fn free_raw<T>(data: *mut T, len: usize) {
    if !data.is_null() && len > 0 {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(data, len)));
    }
}

impl BraidTextBuffer {
    fn new(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        Self {
            data: into_raw(bytes),
            len,
        }
    }
}

/// # Safety
/// `data` must be readable for `len` bytes, or null with a length of 0.
unsafe fn bytes<'a>(data: *const u8, len: usize) -> Result<&'a [u8], String> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || len > isize::MAX as usize {
        return Err("null pointer".into());
    }
    Ok(std::slice::from_raw_parts(data, len))
}

unsafe fn text<'a>(data: *const u8, len: usize) -> Result<&'a str, String> {
    std::str::from_utf8(bytes(data, len)?).map_err(|e| format!("not UTF-8: {e}"))
}

unsafe fn handle<'a, T>(pointer: *const T) -> Result<&'a T, String> {
    pointer.as_ref().ok_or_else(|| "null handle".to_string())
}

/// Runs `body`; its error, or its panic, goes to `error`.
unsafe fn guarded(error: *mut BraidTextBuffer, body: impl FnOnce() -> Result<(), String>) -> i32 {
    let (code, message) = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return OK,
        Ok(Err(message)) => (INVALID, message),
        Err(panic) => {
            let what = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("unknown panic");
            (INTERNAL, format!("panic: {what}"))
        }
    };
    if !error.is_null() {
        error.write(BraidTextBuffer::new(message.into_bytes()));
    }
    code
}

unsafe fn write_tokens(out: *mut BraidTextTokens, tokens: Tokens, with_spans: bool) {
    let len = tokens.ids.len();
    let spans = if with_spans {
        into_raw(tokens.spans.iter().flat_map(|s| [s.0, s.1]).collect())
    } else {
        std::ptr::null_mut()
    };
    out.write(BraidTextTokens {
        ids: into_raw(tokens.ids),
        spans,
        len,
    });
}

/// # Safety
/// Pointers as in `text_ffi.h`.
#[no_mangle]
pub unsafe extern "C" fn braid_text_tokenizer_open(
    json: *const u8,
    json_len: usize,
    out: *mut *mut TextTokenizer,
    error: *mut BraidTextBuffer,
) -> i32 {
    guarded(error, || {
        if out.is_null() {
            return Err("null output".into());
        }
        let tokenizer = TextTokenizer::from_json(bytes(json, json_len)?)?;
        out.write(Box::into_raw(Box::new(tokenizer)));
        Ok(())
    })
}

/// # Safety
/// `tokenizer` must come from `braid_text_tokenizer_open`, or be null.
#[no_mangle]
pub unsafe extern "C" fn braid_text_tokenizer_free(tokenizer: *mut TextTokenizer) {
    if !tokenizer.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(tokenizer))));
    }
}

/// # Safety
/// Pointers as in `text_ffi.h`.
#[no_mangle]
pub unsafe extern "C" fn braid_text_encode(
    tokenizer: *const TextTokenizer,
    input: *const u8,
    input_len: usize,
    flags: u32,
    max_tokens: usize,
    out: *mut BraidTextTokens,
    error: *mut BraidTextBuffer,
) -> i32 {
    guarded(error, || {
        if out.is_null() {
            return Err("null output".into());
        }
        let flags = EncodeFlags {
            add_special: flags & 1 != 0,
            parse_special: flags & 2 != 0,
            spans: flags & 4 != 0,
        };
        let tokens = handle(tokenizer)?.encode(text(input, input_len)?, flags, max_tokens)?;
        write_tokens(out, tokens, flags.spans);
        Ok(())
    })
}

/// # Safety
/// Pointers as in `text_ffi.h`.
#[no_mangle]
pub unsafe extern "C" fn braid_text_decode(
    tokenizer: *const TextTokenizer,
    ids: *const u32,
    len: usize,
    skip_special: bool,
    out: *mut BraidTextBuffer,
    error: *mut BraidTextBuffer,
) -> i32 {
    guarded(error, || {
        if out.is_null() || (ids.is_null() && len > 0) || len > isize::MAX as usize / 4 {
            return Err("null pointer".into());
        }
        let ids = if len == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(ids, len)
        };
        let decoded = handle(tokenizer)?.decode(ids, skip_special)?;
        out.write(BraidTextBuffer::new(decoded.into_bytes()));
        Ok(())
    })
}

/// # Safety
/// Pointers as in `text_ffi.h`.
#[no_mangle]
pub unsafe extern "C" fn braid_text_token_to_id(
    tokenizer: *const TextTokenizer,
    token: *const u8,
    token_len: usize,
) -> i64 {
    catch_unwind(AssertUnwindSafe(|| {
        let (Ok(tokenizer), Ok(token)) = (handle(tokenizer), text(token, token_len)) else {
            return -1;
        };
        tokenizer.token_to_id(token).map_or(-1, i64::from)
    }))
    .unwrap_or(-1)
}

/// # Safety
/// `tokenizer` must come from `braid_text_tokenizer_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_text_vocab_size(tokenizer: *const TextTokenizer) -> usize {
    catch_unwind(AssertUnwindSafe(|| {
        handle(tokenizer).map_or(0, TextTokenizer::vocab_size)
    }))
    .unwrap_or(0)
}

/// # Safety
/// Pointers as in `text_ffi.h`.
#[no_mangle]
pub unsafe extern "C" fn braid_text_template_open(
    source: *const u8,
    source_len: usize,
    globals: *const u8,
    globals_len: usize,
    out: *mut *mut ChatTemplate,
    error: *mut BraidTextBuffer,
) -> i32 {
    guarded(error, || {
        if out.is_null() {
            return Err("null output".into());
        }
        let template = ChatTemplate::new(text(source, source_len)?, text(globals, globals_len)?)?;
        out.write(Box::into_raw(Box::new(template)));
        Ok(())
    })
}

/// # Safety
/// `template` must come from `braid_text_template_open`, or be null.
#[no_mangle]
pub unsafe extern "C" fn braid_text_template_free(template: *mut ChatTemplate) {
    if !template.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(template))));
    }
}

/// # Safety
/// Pointers as in `text_ffi.h`.
#[no_mangle]
pub unsafe extern "C" fn braid_text_template_render(
    template: *const ChatTemplate,
    messages: *const u8,
    messages_len: usize,
    add_generation_prompt: bool,
    unix_seconds: i64,
    out: *mut BraidTextBuffer,
    error: *mut BraidTextBuffer,
) -> i32 {
    guarded(error, || {
        if out.is_null() {
            return Err("null output".into());
        }
        let rendered = handle(template)?.render(
            text(messages, messages_len)?,
            add_generation_prompt,
            unix_seconds,
        )?;
        out.write(BraidTextBuffer::new(rendered.into_bytes()));
        Ok(())
    })
}

/// # Safety
/// Pointers as in `text_ffi.h`.
#[no_mangle]
pub unsafe extern "C" fn braid_text_template_encode(
    template: *const ChatTemplate,
    tokenizer: *const TextTokenizer,
    messages: *const u8,
    messages_len: usize,
    add_generation_prompt: bool,
    unix_seconds: i64,
    out: *mut BraidTextTokens,
    error: *mut BraidTextBuffer,
) -> i32 {
    guarded(error, || {
        if out.is_null() {
            return Err("null output".into());
        }
        let ids = handle(template)?.encode(
            handle(tokenizer)?,
            text(messages, messages_len)?,
            add_generation_prompt,
            unix_seconds,
        )?;
        write_tokens(
            out,
            Tokens {
                ids,
                spans: Vec::new(),
            },
            false,
        );
        Ok(())
    })
}

/// # Safety
/// `buffer` must come from this crate, and is freed once.
#[no_mangle]
pub unsafe extern "C" fn braid_text_buffer_free(buffer: BraidTextBuffer) {
    free_raw(buffer.data, buffer.len);
}

/// # Safety
/// `tokens` must come from this crate, and is freed once.
#[no_mangle]
pub unsafe extern "C" fn braid_text_tokens_free(tokens: BraidTextTokens) {
    free_raw(tokens.ids, tokens.len);
    if !tokens.spans.is_null() {
        free_raw(tokens.spans, tokens.len * 2);
    }
}
