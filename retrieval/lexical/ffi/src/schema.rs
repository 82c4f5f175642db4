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
    /// Title alone, as stemmed words.
    pub title: Field,
}

impl Fields {
    pub fn text(&self) -> [Field; 4] {
        [self.words, self.identifiers, self.parts, self.title]
    }
}

const ANALYZERS: [&str; 3] = ["braid_words", "braid_identifiers", "braid_parts"];

/// Every field keeps its lengths: without them Tantivy writes zero as the best
/// score of each full block, and pruning would drop the block.
fn text_options(analyzer: &str, stored: IndexRecordOption) -> TextOptions {
    TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer(analyzer)
            .set_fieldnorms(true)
            .set_index_option(stored),
    )
}

pub fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let chunk = builder.add_u64_field(
        CHUNK_FIELD,
        NumericOptions::default().set_indexed().set_fast(),
    );
    // Positions are for the pairs of neighbouring words.
    let mut text =
        |name, analyzer, stored| builder.add_text_field(name, text_options(analyzer, stored));
    let positions = IndexRecordOption::WithFreqsAndPositions;
    let fields = Fields {
        chunk,
        words: text("words", ANALYZERS[0], positions),
        identifiers: text("identifiers", ANALYZERS[1], IndexRecordOption::WithFreqs),
        parts: text("parts", ANALYZERS[2], IndexRecordOption::WithFreqs),
        title: text("title", ANALYZERS[0], IndexRecordOption::WithFreqs),
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
