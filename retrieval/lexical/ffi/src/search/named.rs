//! Scores of chunks that are named rather than searched for.

use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, Score, SegmentReader, Term, TERMINATED};

use super::{mean, Hit, Segment, Snapshot};
use crate::analysis::terms;
use crate::bm25::{field_scores, idf};

impl Snapshot {
    /// The scores by words and identifiers of those of `chunks` that are here and
    /// have one, by ascending chunk. They are what a search gives to hits past
    /// the first `COMPARED`.
    pub fn score(&self, query: &str, chunks: &[u64]) -> tantivy::Result<Vec<Hit>> {
        let terms = terms(&mut self.analyzer.clone(), query);
        let (clauses, _) = self.clauses(query, &terms)?;
        let mut chunks = chunks.to_vec();
        chunks.sort_unstable();
        chunks.dedup();
        let mut hits = Vec::new();
        for (reader, segment) in self.segments() {
            let (docs, held) = self.locate(reader, segment, &chunks)?;
            if docs.is_empty() {
                continue;
            }
            let mut scores = vec![0.0; docs.len()];
            for (number, field) in self.fields.text().into_iter().enumerate() {
                let words: Vec<(Term, Score)> = clauses
                    .iter()
                    .filter(|clause| clause.field == number)
                    .map(|clause| {
                        let weight = clause.boost * idf(self.documents, clause.with);
                        (clause.term.clone(), weight)
                    })
                    .collect();
                let mean_length = mean(self.tokens[number], self.documents);
                let added = field_scores(reader, field, &words, &docs, mean_length)?;
                for (score, added) in scores.iter_mut().zip(added) {
                    *score += added;
                }
            }
            hits.extend(
                held.into_iter()
                    .zip(scores)
                    .filter(|&(_, score)| score > 0.0)
                    .map(|(chunk, score)| Hit { chunk, score }),
            );
        }
        hits.sort_unstable_by_key(|hit| hit.chunk);
        Ok(hits)
    }

    /// The documents of those of `chunks` that are alive in one segment, in the
    /// order of the documents, and their chunks.
    fn locate(
        &self,
        reader: &SegmentReader,
        segment: &Segment,
        chunks: &[u64],
    ) -> tantivy::Result<(Vec<DocId>, Vec<u64>)> {
        let (least, greatest) = (segment.chunks.min_value(), segment.chunks.max_value());
        let inverted = reader.inverted_index(self.fields.chunk)?;
        let mut found = Vec::new();
        for &chunk in chunks {
            if chunk < least || chunk > greatest {
                continue;
            }
            let term = Term::from_field_u64(self.fields.chunk, chunk);
            let Some(mut postings) = inverted.read_postings(&term, IndexRecordOption::Basic)?
            else {
                continue;
            };
            // One that was replaced is there more than once, dead but for one.
            while postings.doc() != TERMINATED {
                let doc = postings.doc();
                if reader
                    .alive_bitset()
                    .is_none_or(|alive| alive.is_alive(doc))
                {
                    found.push((doc, chunk));
                }
                postings.advance();
            }
        }
        found.sort_unstable();
        Ok(found.into_iter().unzip())
    }
}
