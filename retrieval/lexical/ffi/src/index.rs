//! One index in one directory: opening (and starting anew when it is damaged),
//! writing, committing, handing out snapshots.

use std::fs;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::{json, Value};
use tantivy::directory::{Directory, INDEX_WRITER_LOCK, META_LOCK};
use tantivy::index::SegmentComponent;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy, NoMergePolicy};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{
    Index, IndexMeta, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, TantivyDocument, Term,
};

use crate::analysis::{identifiers, language_of, parts, ANALYSIS_VERSION};
use crate::directory::{CheckedDirectory, MANAGED_FILE, META_FILE};
use crate::error::{Code, Error, Result};
use crate::schema::{register_analyzers, schema, Fields};
use crate::search::Snapshot;

/// A segment is written when this much is buffered; a commit writes what there
/// is.
const WRITER_MEMORY_BYTES: usize = 64 << 20;
/// Segments of similar size are merged when there are so many.
const SEGMENTS_PER_MERGE: usize = 4;
/// A segment with a greater share of deleted chunks is merged even alone.
const MAX_DELETED_SHARE: f32 = 0.3;

struct Writer {
    /// Taken when the index is dropped.
    writer: Option<IndexWriter>,
    committed: u64,
    max_chunk: u64,
    /// Reused by every document.
    identifiers: String,
    parts: String,
}

pub struct LexicalIndex {
    fields: Fields,
    analyzer: TextAnalyzer,
    language: String,
    reader: IndexReader,
    generation: Arc<AtomicU64>,
    current: RwLock<Arc<Snapshot>>,
    /// The generation that `current` shows; held while it is replaced.
    shown: Mutex<u64>,
    writer: Mutex<Writer>,
}

impl Writer {
    fn index_writer(&mut self) -> Result<&mut IndexWriter> {
        self.writer
            .as_mut()
            .ok_or_else(|| Error::new(Code::Internal, "the index is closed"))
    }
}

/// A merge that still runs when the writer is dropped would go on writing files
/// that nobody knows of.
impl Drop for LexicalIndex {
    fn drop(&mut self) {
        let state = self
            .writer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = state.writer.take() {
            writer.set_merge_policy(Box::new(NoMergePolicy));
            // What was not committed is lost either way.
            let _ = writer.wait_merging_threads();
        }
    }
}

/// Why an existing index cannot be used.
enum Unusable {
    /// To be removed and created anew. Says what is wrong.
    Damaged(String),
    /// Not a matter of the index: the caller has to act.
    Failed(Error),
}

impl From<tantivy::TantivyError> for Unusable {
    fn from(error: tantivy::TantivyError) -> Self {
        Unusable::Damaged(error.to_string())
    }
}

/// An existing index whose files have all been checked.
struct Checked {
    index: Index,
    generation: Arc<AtomicU64>,
    sequence: u64,
}

/// What a directory holds, read without changing it.
pub struct Contents {
    pub sequence: u64,
    /// Ascending.
    pub chunks: Vec<u64>,
}

impl LexicalIndex {
    pub fn open(path: &Path, language: &str) -> Result<Self> {
        language_of(language).map_err(|message| Error::new(Code::InvalidArgument, message))?;
        fs::create_dir_all(path)?;
        // A panic while reading is a damage that no checksum found.
        match catch_unwind(AssertUnwindSafe(|| Self::open_existing(path, language))) {
            Ok(Ok(index)) => Ok(index),
            Ok(Err(Unusable::Failed(error))) => Err(error),
            Ok(Err(Unusable::Damaged(_))) | Err(_) => {
                clear(path)?;
                Self::create(path, language)
            }
        }
    }

    fn create(path: &Path, language: &str) -> Result<Self> {
        let directory = CheckedDirectory::open(path)
            .map_err(|error| Error::from(tantivy::TantivyError::from(error)))?;
        let generation = directory.generation();
        let settings = IndexSettings {
            // Nothing is stored: one thread less.
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let index = Index::create(directory, schema().0, settings)?;
        Self::start(index, generation, language, 0)
    }

    fn open_existing(path: &Path, language: &str) -> std::result::Result<Self, Unusable> {
        let checked = Self::check(path, language)?;
        Self::start(
            checked.index,
            checked.generation,
            language,
            checked.sequence,
        )
        .map_err(|error| match error.code {
            Code::InUse => Unusable::Failed(error),
            _ => Unusable::Damaged(error.message),
        })
    }

    /// Opens the index and reads every file once, changing none.
    fn check(path: &Path, language: &str) -> std::result::Result<Checked, Unusable> {
        let failed = |error: Error| Unusable::Failed(error);
        let damaged = |what: &str| Unusable::Damaged(format!("{}: {what}", path.display()));
        let directory = CheckedDirectory::open(path)
            .map_err(|error| failed(tantivy::TantivyError::from(error).into()))?;
        for name in [META_FILE, MANAGED_FILE] {
            if !path.join(name).exists() {
                return Err(damaged(&format!("{name} is missing")));
            }
            fs::File::open(path.join(name)).map_err(|error| failed(error.into()))?;
        }
        let generation = directory.generation();
        let index = Index::open(directory)?;
        let metas = index.load_metas()?;
        if index.schema() != schema().0 {
            return Err(damaged("has another schema"));
        }
        let sequence = committed_sequence(&metas, language)
            .ok_or_else(|| damaged("was made by other rules or for another language"))?;
        if let Some(what) = damaged_file(&index, &metas) {
            return Err(damaged(&what));
        }
        Ok(Checked {
            index,
            generation,
            sequence,
        })
    }

    /// What the directory holds, without a writer: NotFound if there is no
    /// index, Damaged if it is not whole.
    pub fn read(path: &Path, language: &str) -> Result<Contents> {
        let stemmer =
            language_of(language).map_err(|message| Error::new(Code::InvalidArgument, message))?;
        if !path.join(META_FILE).exists() && !path.join(MANAGED_FILE).exists() {
            return Err(Error::new(
                Code::NotFound,
                format!("{}: holds no index", path.display()),
            ));
        }
        let contents = || -> std::result::Result<Contents, Unusable> {
            let checked = Self::check(path, language)?;
            let analyzer = register_analyzers(&checked.index, stemmer);
            let reader = checked
                .index
                .reader_builder()
                .reload_policy(ReloadPolicy::Manual)
                .try_into()?;
            let (_, fields) = schema();
            let snapshot = Snapshot::new(reader.searcher(), fields, analyzer)?;
            Ok(Contents {
                sequence: checked.sequence,
                chunks: snapshot.chunks(),
            })
        };
        match catch_unwind(AssertUnwindSafe(contents)) {
            Ok(Ok(contents)) => Ok(contents),
            Ok(Err(Unusable::Failed(error))) => Err(error),
            Ok(Err(Unusable::Damaged(what))) => Err(Error::new(Code::Damaged, what)),
            Err(_) => Err(Error::new(
                Code::Damaged,
                format!("{}: cannot be read", path.display()),
            )),
        }
    }

    /// Reads every file of the last commit again. Damaged if one is not what
    /// was written.
    pub fn verify(&self) -> Result<()> {
        let index = self.reader.searcher().index().clone();
        // Segments that are known in memory keep their files.
        let metas = index
            .load_metas()
            .map_err(|error| Error::new(Code::Damaged, error.to_string()))?;
        match damaged_file(&index, &metas) {
            Some(what) => Err(Error::new(Code::Damaged, what)),
            None => Ok(()),
        }
    }

    fn start(
        index: Index,
        generation: Arc<AtomicU64>,
        language: &str,
        committed: u64,
    ) -> Result<Self> {
        let stemmer =
            language_of(language).map_err(|message| Error::new(Code::InvalidArgument, message))?;
        let analyzer = register_analyzers(&index, stemmer);
        let (_, fields) = schema();
        let writer: IndexWriter = index.writer_with_options(
            IndexWriterOptions::builder()
                .num_worker_threads(1)
                .memory_budget_per_thread(WRITER_MEMORY_BYTES)
                .num_merge_threads(1)
                .build(),
        )?;
        let mut merges = LogMergePolicy::default();
        merges.set_min_num_segments(SEGMENTS_PER_MERGE);
        merges.set_del_docs_ratio_before_merge(MAX_DELETED_SHARE);
        writer.set_merge_policy(Box::new(merges));
        // Tantivy stamps the first operation of a new writer with the stamp of
        // the last commit. A merge that begins before the next commit could then
        // take a delete for one that its segments already have, and lose it. An
        // empty batch uses that stamp up.
        writer.run(Vec::new())?;
        // What a killed writer left behind.
        writer.garbage_collect_files().wait()?;

        let shown = generation.load(Ordering::Acquire);
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        let current = Arc::new(Snapshot::new(reader.searcher(), fields, analyzer.clone())?);
        Ok(LexicalIndex {
            fields,
            analyzer,
            language: language.to_owned(),
            reader,
            generation,
            shown: Mutex::new(shown),
            writer: Mutex::new(Writer {
                writer: Some(writer),
                committed,
                max_chunk: current.max_chunk(),
                identifiers: String::new(),
                parts: String::new(),
            }),
            current: RwLock::new(current),
        })
    }

    /// Adds a chunk; one with the same id is replaced.
    pub fn add(&self, chunk: u64, title: &str, text: &str) -> Result<()> {
        let writer = &mut *self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Ids grow, so that hardly any document pays for a deletion.
        if chunk <= writer.max_chunk {
            let old = Term::from_field_u64(self.fields.chunk, chunk);
            writer.index_writer()?.delete_term(old);
        }
        writer.max_chunk = writer.max_chunk.max(chunk);
        writer.identifiers.clear();
        writer.parts.clear();
        for value in [title, text] {
            identifiers(value, &mut writer.identifiers);
            parts(value, &mut writer.parts);
        }
        let mut document = TantivyDocument::default();
        document.add_u64(self.fields.chunk, chunk);
        document.add_text(self.fields.words, format!("{title} {text}"));
        if !writer.identifiers.is_empty() {
            document.add_text(self.fields.identifiers, &writer.identifiers);
        }
        if !writer.parts.is_empty() {
            document.add_text(self.fields.parts, &writer.parts);
        }
        if !title.is_empty() {
            document.add_text(self.fields.title, title);
        }
        writer.index_writer()?.add_document(document)?;
        Ok(())
    }

    pub fn delete(&self, chunk: u64) -> Result<()> {
        let writer = &mut *self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = Term::from_field_u64(self.fields.chunk, chunk);
        writer.index_writer()?.delete_term(gone);
        Ok(())
    }

    pub fn commit(&self, sequence: u64) -> Result<()> {
        let writer = &mut *self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let payload = json!({
            "analysis": ANALYSIS_VERSION,
            "language": self.language,
            "sequence": sequence,
        });
        let mut prepared = writer.index_writer()?.prepare_commit()?;
        prepared.set_payload(&payload.to_string());
        prepared.commit()?;
        writer.committed = sequence;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        self.show_newest(&mut shown)
    }

    pub fn committed_sequence(&self) -> u64 {
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .committed
    }

    /// The last commit, in its fewest segments so far.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        // A merge that ended since is taken up on the way. It shows the same
        // chunks, so whoever comes meanwhile, or meets an error, does without.
        if let Ok(mut shown) = self.shown.try_lock() {
            if *shown != self.generation.load(Ordering::Acquire) {
                let _ = self.show_newest(&mut shown);
            }
        }
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn show_newest(&self, shown: &mut u64) -> Result<()> {
        // Read before the segments: a change in between is taken up next time.
        let generation = self.generation.load(Ordering::Acquire);
        self.reader.reload()?;
        let snapshot = Snapshot::new(self.reader.searcher(), self.fields, self.analyzer.clone())?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        *shown = generation;
        Ok(())
    }
}

/// The sequence of the last commit, or none if the index was made by other
/// rules than today's.
fn committed_sequence(metas: &IndexMeta, language: &str) -> Option<u64> {
    let Some(payload) = &metas.payload else {
        // Created and never committed.
        return metas.segments.is_empty().then_some(0);
    };
    let payload: Value = serde_json::from_str(payload).ok()?;
    let same = payload["analysis"].as_u64() == Some(ANALYSIS_VERSION)
        && payload["language"].as_str() == Some(language);
    payload["sequence"].as_u64().filter(|_| same)
}

/// Names a file of a segment that is missing or has not the checksum it was
/// written with. Reads the whole index once.
fn damaged_file(index: &Index, metas: &IndexMeta) -> Option<String> {
    let managed = index.directory().list_managed_files();
    for segment in &metas.segments {
        let deletes = segment
            .has_deletes()
            .then(|| segment.relative_path(SegmentComponent::Delete));
        let id = segment.id().uuid_string();
        if let Some(path) = deletes.as_ref().filter(|path| !managed.contains(*path)) {
            return Some(format!("{} is missing", path.display()));
        }
        let mut files = managed
            .iter()
            .filter(|path| {
                let name = path.to_string_lossy();
                // Temporary files and the deletes of older commits may be gone.
                name.starts_with(&id)
                    && !name.ends_with(".temp")
                    && (!name.ends_with(".del") || Some(*path) == deletes.as_ref())
            })
            .peekable();
        if files.peek().is_none() {
            return Some(format!("segment {id} has no files"));
        }
        for path in files {
            match index.directory().validate_checksum(path) {
                Ok(true) => {}
                Ok(false) => return Some(format!("{}: checksum mismatch", path.display())),
                Err(error) => return Some(error.to_string()),
            }
        }
    }
    None
}

/// Removes the files of a damaged index, unless a writer has it.
fn clear(path: &Path) -> Result<()> {
    let directory = CheckedDirectory::open(path)
        .map_err(|error| Error::from(tantivy::TantivyError::from(error)))?;
    let _lock = directory
        .acquire_lock(&INDEX_WRITER_LOCK)
        .map_err(|error| Error::from(tantivy::TantivyError::from(error)))?;
    let locks = [&INDEX_WRITER_LOCK.filepath, &META_LOCK.filepath];
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        if !entry.file_type()?.is_dir() && !locks.iter().any(|lock| lock.as_os_str() == name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(index: &LexicalIndex) -> Vec<u64> {
        index.snapshot().chunks()
    }

    /// Segments that were to be merged when their process was killed; one chunk
    /// was deleted by its last commit.
    fn write_unmerged(path: &Path, segments: u64) {
        let directory = CheckedDirectory::open(path).unwrap();
        let index = Index::create(directory, schema().0, IndexSettings::default()).unwrap();
        register_analyzers(&index, language_of("en").unwrap());
        let mut writer: IndexWriter = index
            .writer_with_num_threads(1, WRITER_MEMORY_BYTES)
            .unwrap();
        writer.set_merge_policy(Box::new(NoMergePolicy));
        let (_, fields) = schema();
        for segment in 0..segments {
            for chunk in [3 * segment + 1, 3 * segment + 2, 3 * segment + 3] {
                let mut document = TantivyDocument::default();
                document.add_u64(fields.chunk, chunk);
                document.add_text(fields.words, "mill");
                writer.add_document(document).unwrap();
            }
            if segment + 1 == segments {
                for other in 1..segments {
                    writer.delete_term(Term::from_field_u64(fields.chunk, 3 * other + 2));
                }
            }
            let mut prepared = writer.prepare_commit().unwrap();
            let payload = json!({"analysis": ANALYSIS_VERSION, "language": "en",
                                 "sequence": segment + 1});
            prepared.set_payload(&payload.to_string());
            prepared.commit().unwrap();
        }
        writer.wait_merging_threads().unwrap();
    }

    #[test]
    fn first_delete_after_opening_outlives_the_merges_it_starts() {
        const SEGMENTS: u64 = SEGMENTS_PER_MERGE as u64 + 2;
        for deleted in 3 * SEGMENTS - 5..=3 * SEGMENTS {
            let directory = tempfile::tempdir().unwrap();
            write_unmerged(directory.path(), SEGMENTS);
            let index = LexicalIndex::open(directory.path(), "en").unwrap();
            let mut expected = chunks(&index);
            assert_eq!(expected.len() as u64, 3 * SEGMENTS - (SEGMENTS - 1));
            index.delete(deleted).unwrap();
            index.add(100, "", "weir").unwrap();
            index.commit(SEGMENTS + 1).unwrap();
            expected.retain(|chunk| *chunk != deleted);
            expected.push(100);
            assert_eq!(chunks(&index), expected, "without {deleted}");
            drop(index); // waits for the merges
            let index = LexicalIndex::open(directory.path(), "en").unwrap();
            assert_eq!(chunks(&index), expected, "without {deleted}, merged");
        }
    }
}
