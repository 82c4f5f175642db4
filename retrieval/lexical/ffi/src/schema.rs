//! The fields of a chunk.

use tantivy::schema::{
    Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{Language, TextAnalyzer};
use tantivy::Index;

use crate::analysis::{identifier_analyzer, part_analyzer, word_analyzer};

pub const CHUNK_FIELD: &str = "chunk";

#[derive(Clone, Copy)]
pub struct Fields {
    pub chunk: Field,
    /// Title and text, as stemmed words.
    pub words: Field,
    /// Compound identifiers, whole.
    pub identifiers: Field,
    /// Parts of identifiers without joints.
    pub parts: Field,
}

impl Fields {
    pub fn text(&self) -> [Field; 3] {
        [self.words, self.identifiers, self.parts]
    }
}

const ANALYZERS: [&str; 3] = ["braid_words", "braid_identifiers", "braid_parts"];

/// Frequencies and lengths are what BM25 reads; positions nobody asks for.
/// Every field keeps its lengths: without them Tantivy writes zero as the best
/// score of each full block, and pruning would drop the block.
fn text_options(analyzer: &str) -> TextOptions {
    TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer(analyzer)
            .set_fieldnorms(true)
            .set_index_option(IndexRecordOption::WithFreqs),
    )
}

pub fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let chunk = builder.add_u64_field(
        CHUNK_FIELD,
        NumericOptions::default().set_indexed().set_fast(),
    );
    let fields = Fields {
        chunk,
        words: builder.add_text_field("words", text_options(ANALYZERS[0])),
        identifiers: builder.add_text_field("identifiers", text_options(ANALYZERS[1])),
        parts: builder.add_text_field("parts", text_options(ANALYZERS[2])),
    };
    (builder.build(), fields)
}

/// Makes the analyzers of `language` known to `index`; returns that of words,
/// for the queries.
pub fn register_analyzers(index: &Index, language: Language) -> TextAnalyzer {
    let manager = index.tokenizers();
    manager.register(ANALYZERS[0], word_analyzer(language));
    manager.register(ANALYZERS[1], identifier_analyzer());
    manager.register(ANALYZERS[2], part_analyzer(language));
    word_analyzer(language)
}
