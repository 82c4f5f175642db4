//! Tantivy's memory-mapped directory with a checksum on the files that Tantivy
//! leaves without one, and with commits that are durable when they return.
//!
//! Segment files end in Tantivy's own CRC footer. `meta.json` and
//! `.managed.json` do not, and one flipped digit in them silently loses deletes
//! or whole segments. Here both carry a hash of their content as a last line.
//! Tantivy also leaves their directory unsynced after the rename, so that a
//! power cut could take a commit back that was already reported.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use tantivy::directory::error::{
    DeleteError, LockError, OpenDirectoryError, OpenReadError, OpenWriteError,
};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, WatchCallback, WatchHandle, WritePtr,
};

pub const META_FILE: &str = "meta.json";
pub const MANAGED_FILE: &str = ".managed.json";

const TRAILER_PREFIX: &[u8] = b"\n#fnv1a64 ";
const TRAILER_BYTES: usize = TRAILER_PREFIX.len() + 16;

#[derive(Clone, Debug)]
pub struct CheckedDirectory {
    inner: MmapDirectory,
    path: PathBuf,
    generation: Arc<AtomicU64>,
}

impl CheckedDirectory {
    pub fn open(path: &Path) -> Result<Self, OpenDirectoryError> {
        Ok(CheckedDirectory {
            inner: MmapDirectory::open(path)?,
            path: path.to_owned(),
            generation: Arc::new(AtomicU64::new(1)),
        })
    }

    /// Grows whenever the set of segments changes: with every commit, and with
    /// every merge that ends in the background.
    pub fn generation(&self) -> Arc<AtomicU64> {
        self.generation.clone()
    }
}

fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn with_trailer(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + TRAILER_BYTES);
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(TRAILER_PREFIX);
    bytes.extend_from_slice(format!("{:016x}", fnv1a64(content)).as_bytes());
    bytes
}

fn without_trailer(mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let length = bytes
        .len()
        .checked_sub(TRAILER_BYTES)
        .ok_or_else(|| damaged("too short for its checksum"))?;
    if with_trailer(&bytes[..length]) != bytes {
        return Err(damaged("content does not match its checksum"));
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// The file holds `content`, durably, when this returns; what it held before
/// when it does not.
fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

impl Directory for CheckedDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.inner.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        without_trailer(self.inner.atomic_read(path)?)
            .map_err(|error| OpenReadError::wrap_io_error(error, PathBuf::from(path)))
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        replace_file(&self.path.join(path), &with_trailer(data))?;
        if path == Path::new(META_FILE) {
            self.generation.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.inner.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailer_round_trips_and_finds_every_flipped_bit() {
        let content = b"{\"segments\":[],\"opstamp\":17}".to_vec();
        let stored = with_trailer(&content);
        assert_eq!(without_trailer(stored.clone()).unwrap(), content);
        for byte in 0..stored.len() {
            for bit in 0..8 {
                let mut flipped = stored.clone();
                flipped[byte] ^= 1 << bit;
                assert!(without_trailer(flipped).is_err(), "byte {byte} bit {bit}");
            }
        }
        for length in 0..stored.len() {
            assert!(without_trailer(stored[..length].to_vec()).is_err());
        }
    }
}
