//! Verification of signed JSON Web Tokens, behind a C ABI.
//! The contract of every export is in `jwt_ffi.h`.

mod keys;

use std::ffi::{c_char, c_int, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::{ptr, slice, str};

pub use keys::Keys;

const OK: c_int = 0;
const INVALID_ARGUMENT: c_int = 1;
const INTERNAL: c_int = 2;

fn set_text(place: *mut *mut c_char, text: &str) {
    if place.is_null() {
        return;
    }
    let clean = text.replace('\0', " ");
    let owned = CString::new(clean).map_or(ptr::null_mut(), CString::into_raw);
    // SAFETY: `place` is not null and the caller owns what it points to.
    unsafe { *place = owned };
}

/// # Safety
/// `text` points to `length` readable bytes.
unsafe fn utf8<'a>(text: *const c_char, length: usize) -> Result<&'a str, String> {
    if length == 0 {
        return Ok("");
    }
    if text.is_null() {
        return Err("null argument".to_string());
    }
    str::from_utf8(slice::from_raw_parts(text.cast::<u8>(), length))
        .map_err(|_| "not UTF-8".to_string())
}

/// Runs `work`; an error or a panic becomes a code and a message.
fn guarded(error: *mut *mut c_char, work: impl FnOnce() -> Result<(), String>) -> c_int {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => OK,
        Ok(Err(message)) => {
            set_text(error, &message);
            INVALID_ARGUMENT
        }
        Err(_) => {
            set_text(error, "panic");
            INTERNAL
        }
    }
}

/// # Safety
/// See `jwt_ffi.h`; pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn braid_jwt_parse_keys(
    jwks: *const c_char,
    length: usize,
    keys: *mut *mut Keys,
    error: *mut *mut c_char,
) -> c_int {
    guarded(error, || {
        if keys.is_null() {
            return Err("null argument".to_string());
        }
        let parsed = Keys::parse(utf8(jwks, length)?)?;
        *keys = Box::into_raw(Box::new(parsed));
        Ok(())
    })
}

/// # Safety
/// See `jwt_ffi.h`; pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn braid_jwt_wants_other_key(
    keys: *const Keys,
    token: *const c_char,
    length: usize,
) -> c_int {
    let wants = catch_unwind(AssertUnwindSafe(|| {
        !keys.is_null() && utf8(token, length).is_ok_and(|token| (*keys).lacks_key_of(token))
    }));
    c_int::from(wants.unwrap_or(false))
}

/// # Safety
/// See `jwt_ffi.h`; pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn braid_jwt_verify(
    keys: *const Keys,
    token: *const c_char,
    token_length: usize,
    issuer: *const c_char,
    issuer_length: usize,
    audience: *const c_char,
    audience_length: usize,
    claims: *mut *mut c_char,
    error: *mut *mut c_char,
) -> c_int {
    guarded(error, || {
        if keys.is_null() || claims.is_null() {
            return Err("null argument".to_string());
        }
        let verified = (*keys).verify(
            utf8(token, token_length)?,
            utf8(issuer, issuer_length)?,
            utf8(audience, audience_length)?,
        )?;
        set_text(claims, &verified);
        Ok(())
    })
}

/// # Safety
/// `keys` comes from braid_jwt_parse_keys, or is null.
#[no_mangle]
pub unsafe extern "C" fn braid_jwt_free_keys(keys: *mut Keys) {
    if !keys.is_null() {
        drop(Box::from_raw(keys));
    }
}

/// # Safety
/// `text` comes from this library, or is null.
#[no_mangle]
pub unsafe extern "C" fn braid_jwt_free_text(text: *mut c_char) {
    if !text.is_null() {
        drop(CString::from_raw(text));
    }
}
