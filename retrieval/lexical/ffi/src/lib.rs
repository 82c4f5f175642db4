//! BM25 on Tantivy behind a C ABI (`lexical_ffi.h` documents it).
//!
//! No panic leaves an export: it becomes `Code::Internal` with its message.

mod analysis;
mod bm25;
mod directory;
mod error;
mod index;
mod pairs;
mod schema;
mod search;

use std::ffi::{c_char, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use error::{Code, Error, Result};
pub use index::LexicalIndex;
pub use search::{Hit, Snapshot};

fn run(error_out: *mut *mut c_char, body: impl FnOnce() -> Result<()>) -> i32 {
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("panic");
        Err(Error::new(Code::Internal, message))
    });
    let Err(error) = outcome else {
        return Code::Ok as i32;
    };
    if !error_out.is_null() {
        let message = CString::new(error.message.replace('\0', " ")).unwrap_or_default();
        // SAFETY: the caller passes null or a writable pointer.
        unsafe { *error_out = message.into_raw() };
    }
    error.code as i32
}

fn missing(what: &str) -> Error {
    Error::new(Code::InvalidArgument, format!("{what} is null"))
}

/// # Safety
/// `data` points to `length` bytes, or `length` is 0.
unsafe fn bytes<'a>(data: *const c_char, length: usize, what: &str) -> Result<&'a [u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(missing(what));
    }
    Ok(std::slice::from_raw_parts(data.cast(), length))
}

/// # Safety
/// As `lexical_ffi.h` says: each pointer is null or points to what it is
/// declared to, lengths are true, and handles come from this library.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_open(
    directory: *const c_char,
    directory_length: usize,
    language: *const c_char,
    language_length: usize,
    index_out: *mut *mut LexicalIndex,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        if index_out.is_null() {
            return Err(missing("index_out"));
        }
        let directory = bytes(directory, directory_length, "directory")?;
        let language = String::from_utf8_lossy(bytes(language, language_length, "language")?);
        let index = LexicalIndex::open(Path::new(OsStr::from_bytes(directory)), &language)?;
        *index_out = Box::into_raw(Box::new(index));
        Ok(())
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_close(index: *mut LexicalIndex) {
    if !index.is_null() {
        run(ptr::null_mut(), || {
            drop(Box::from_raw(index));
            Ok(())
        });
    }
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_add(
    index: *const LexicalIndex,
    chunk: u64,
    title: *const c_char,
    title_length: usize,
    text: *const c_char,
    text_length: usize,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        let index = index.as_ref().ok_or_else(|| missing("index"))?;
        let title = String::from_utf8_lossy(bytes(title, title_length, "title")?);
        let text = String::from_utf8_lossy(bytes(text, text_length, "text")?);
        index.add(chunk, &title, &text)
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_delete(
    index: *const LexicalIndex,
    chunk: u64,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        index
            .as_ref()
            .ok_or_else(|| missing("index"))?
            .delete(chunk)
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_commit(
    index: *const LexicalIndex,
    sequence: u64,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        index
            .as_ref()
            .ok_or_else(|| missing("index"))?
            .commit(sequence)
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_committed_sequence(
    index: *const LexicalIndex,
    sequence_out: *mut u64,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        let index = index.as_ref().ok_or_else(|| missing("index"))?;
        let out = sequence_out
            .as_mut()
            .ok_or_else(|| missing("sequence_out"))?;
        *out = index.committed_sequence();
        Ok(())
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_verify(
    index: *const LexicalIndex,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        index.as_ref().ok_or_else(|| missing("index"))?.verify()
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_read(
    directory: *const c_char,
    directory_length: usize,
    language: *const c_char,
    language_length: usize,
    sequence_out: *mut u64,
    chunks_out: *mut *mut u64,
    count_out: *mut usize,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        if sequence_out.is_null() || chunks_out.is_null() || count_out.is_null() {
            return Err(missing("sequence_out, chunks_out or count_out"));
        }
        let directory = bytes(directory, directory_length, "directory")?;
        let language = String::from_utf8_lossy(bytes(language, language_length, "language")?);
        let contents = LexicalIndex::read(Path::new(OsStr::from_bytes(directory)), &language)?;
        *sequence_out = contents.sequence;
        give(contents.chunks, chunks_out, count_out);
        Ok(())
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_snapshot_open(
    index: *const LexicalIndex,
    snapshot_out: *mut *const Snapshot,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        let index = index.as_ref().ok_or_else(|| missing("index"))?;
        let out = snapshot_out
            .as_mut()
            .ok_or_else(|| missing("snapshot_out"))?;
        *out = Arc::into_raw(index.snapshot());
        Ok(())
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_snapshot_release(snapshot: *const Snapshot) {
    if !snapshot.is_null() {
        run(ptr::null_mut(), || {
            drop(Arc::from_raw(snapshot));
            Ok(())
        });
    }
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_search(
    snapshot: *const Snapshot,
    query: *const c_char,
    query_length: usize,
    titles: bool,
    limit: usize,
    filtered: bool,
    allowed: *const u64,
    allowed_length: usize,
    hits_out: *mut *mut Hit,
    count_out: *mut usize,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        let snapshot = snapshot.as_ref().ok_or_else(|| missing("snapshot"))?;
        if hits_out.is_null() || count_out.is_null() {
            return Err(missing("hits_out or count_out"));
        }
        let query = String::from_utf8_lossy(bytes(query, query_length, "query")?);
        let allowed = match (filtered, allowed_length) {
            (false, _) => None,
            (true, 0) => Some(&[][..]),
            (true, _) if allowed.is_null() => return Err(missing("allowed")),
            (true, length) => Some(std::slice::from_raw_parts(allowed, length)),
        };
        let hits = if titles {
            snapshot.search_titles(&query, limit, allowed)?
        } else {
            snapshot.search(&query, limit, allowed)?
        };
        give(hits, hits_out, count_out);
        Ok(())
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_score(
    snapshot: *const Snapshot,
    query: *const c_char,
    query_length: usize,
    chunks: *const u64,
    chunk_count: usize,
    hits_out: *mut *mut Hit,
    count_out: *mut usize,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        let snapshot = snapshot.as_ref().ok_or_else(|| missing("snapshot"))?;
        if hits_out.is_null() || count_out.is_null() {
            return Err(missing("hits_out or count_out"));
        }
        let query = String::from_utf8_lossy(bytes(query, query_length, "query")?);
        let chunks = match chunk_count {
            0 => &[][..],
            _ if chunks.is_null() => return Err(missing("chunks")),
            count => std::slice::from_raw_parts(chunks, count),
        };
        give(snapshot.score(&query, chunks)?, hits_out, count_out);
        Ok(())
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_free_hits(hits: *mut Hit, count: usize) {
    take(hits, count);
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_chunks(
    snapshot: *const Snapshot,
    chunks_out: *mut *mut u64,
    count_out: *mut usize,
    error_out: *mut *mut c_char,
) -> i32 {
    run(error_out, || {
        let snapshot = snapshot.as_ref().ok_or_else(|| missing("snapshot"))?;
        if chunks_out.is_null() || count_out.is_null() {
            return Err(missing("chunks_out or count_out"));
        }
        give(snapshot.chunks(), chunks_out, count_out);
        Ok(())
    })
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_free_chunks(chunks: *mut u64, count: usize) {
    take(chunks, count);
}

/// # Safety
/// See `braid_lexical_open`.
#[no_mangle]
pub unsafe extern "C" fn braid_lexical_free_error(message: *mut c_char) {
    if !message.is_null() {
        drop(CString::from_raw(message));
    }
}

unsafe fn give<T>(values: Vec<T>, data_out: *mut *mut T, count_out: *mut usize) {
    let values = values.into_boxed_slice();
    *count_out = values.len();
    *data_out = Box::into_raw(values).cast();
}

unsafe fn take<T>(data: *mut T, count: usize) {
    if !data.is_null() {
        drop(Box::from_raw(ptr::slice_from_raw_parts_mut(data, count)));
    }
}
