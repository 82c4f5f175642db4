//! BM25 where Tantivy does not compute it: over documents that are named rather
//! than searched for. Robertson, Zaragoza: "The Probabilistic Relevance
//! Framework: BM25 and Beyond", 2009, with Tantivy's constants.

use tantivy::postings::Postings;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, Score, SegmentReader, Term};

pub const K1: Score = 1.2;
const B: Score = 0.75;

/// Of a term that `with` of `all` documents hold.
pub fn idf(all: u64, with: u64) -> Score {
    let (all, with) = (all as f64, with as f64);
    (1.0 + (all - with + 0.5) / (with + 0.5)).ln() as Score
}

/// The weight of `count` occurrences in a document of `length` terms.
pub fn saturated(count: Score, length: u32, mean_length: Score) -> Score {
    let norm = K1 * (1.0 - B + B * length as Score / mean_length);
    (K1 + 1.0) * count / (count + norm)
}

/// Calls `visit` with the index of each of `docs`, which ascend, that `postings`
/// hold, standing there.
pub fn at_each<P: Postings>(mut postings: P, docs: &[DocId], mut visit: impl FnMut(usize, &mut P)) {
    for (index, &doc) in docs.iter().enumerate() {
        if postings.doc() < doc {
            postings.seek(doc);
        }
        if postings.doc() == doc {
            visit(index, &mut postings);
        }
    }
}

/// What the words of the query add to the scores of `docs`, which ascend, for
/// being in one field. `words` are its terms with their inverse document
/// frequencies.
pub fn field_scores(
    reader: &SegmentReader,
    field: Field,
    words: &[(Term, Score)],
    docs: &[DocId],
    mean_length: Score,
) -> tantivy::Result<Vec<Score>> {
    let inverted = reader.inverted_index(field)?;
    let lengths = reader.get_fieldnorms_reader(field)?;
    let mut scores = vec![0.0; docs.len()];
    for (word, idf) in words {
        if let Some(postings) = inverted.read_postings(word, IndexRecordOption::WithFreqs)? {
            at_each(postings, docs, |index, postings| {
                let length = lengths.fieldnorm(docs[index]);
                scores[index] +=
                    idf * saturated(postings.term_freq() as Score, length, mean_length);
            });
        }
    }
    Ok(scores)
}
