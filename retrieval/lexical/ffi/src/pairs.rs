//! Neighbouring words of the query that are neighbours in a document too.
//!
//! The sequential dependence model's ordered window of two words: Metzler,
//! Croft: "A Markov Random Field Model for Term Dependencies", SIGIR 2005,
//! section 3. A pair counts as BM25 counts a term, with the sum of its words'
//! inverse document frequencies for its own: how many documents hold a pair is
//! not known without reading them all.

use tantivy::postings::{Postings, SegmentPostings};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, Score, SegmentReader, Term};

use crate::analysis::Terms;
use crate::bm25::{at_each, saturated};

/// Weight of a pair beside the words.
const PAIR_BOOST: Score = 0.15;
/// Of a long query only so many pairs count, those of the rarest words: each
/// costs a look into every document.
const MAX_PAIRS: usize = 64;

struct Pair {
    /// Indexes into `Pairs::words`.
    first: usize,
    second: usize,
    idf: Score,
}

pub struct Pairs {
    words: Vec<Term>,
    pairs: Vec<Pair>,
}

impl Pairs {
    /// `idfs` are those of the distinct terms, None for a term that no document
    /// holds.
    pub fn new(field: Field, terms: &Terms, idfs: &[Option<Score>]) -> Self {
        let mut seen = std::collections::HashSet::new();
        let mut pairs: Vec<Pair> = terms
            .sequence
            .windows(2)
            .map(|pair| (pair[0], pair[1]))
            .filter(|(first, second)| first != second)
            .filter(|&pair| seen.insert(pair))
            .filter_map(|(first, second)| {
                let idf = idfs[first]? + idfs[second]?;
                Some(Pair { first, second, idf })
            })
            .collect();
        pairs.sort_by(|a, b| b.idf.total_cmp(&a.idf));
        pairs.truncate(MAX_PAIRS);

        let mut known = std::collections::HashMap::new();
        let mut words = Vec::new();
        let mut number = |term: usize| {
            *known.entry(term).or_insert_with(|| {
                words.push(Term::from_field_text(field, &terms.distinct[term]));
                words.len() - 1
            })
        };
        for pair in &mut pairs {
            pair.first = number(pair.first);
            pair.second = number(pair.second);
        }
        Pairs { words, pairs }
    }

    /// What the pairs add to the scores of `docs`, which ascend. `mean_length`
    /// is that of the field, in terms.
    pub fn scores(
        &self,
        reader: &SegmentReader,
        docs: &[DocId],
        mean_length: Score,
    ) -> tantivy::Result<Vec<Score>> {
        let Some(field) = self.words.first().map(Term::field) else {
            return Ok(vec![0.0; docs.len()]);
        };
        let inverted = reader.inverted_index(field)?;
        let lengths = reader.get_fieldnorms_reader(field)?;
        let mut positions = Vec::with_capacity(self.words.len());
        for word in &self.words {
            let postings =
                inverted.read_postings(word, IndexRecordOption::WithFreqsAndPositions)?;
            positions.push(match postings {
                Some(postings) => Positions::read(postings, docs),
                None => Positions::default(),
            });
        }
        let score = |(index, doc): (usize, &DocId)| {
            let length = lengths.fieldnorm(*doc);
            let add = |pair: &Pair| {
                let first = positions[pair.first].of(index);
                let count = followed(first, positions[pair.second].of(index));
                PAIR_BOOST * pair.idf * saturated(count as Score, length, mean_length)
            };
            self.pairs.iter().map(add).sum()
        };
        Ok(docs.iter().enumerate().map(score).collect())
    }
}

/// Where one word stands in each of some documents.
#[derive(Default)]
struct Positions {
    all: Vec<u32>,
    /// Per document, where its positions end in `all`; empty if there are none.
    ends: Vec<usize>,
}

impl Positions {
    fn read(postings: SegmentPostings, docs: &[DocId]) -> Self {
        let mut positions = Positions::default();
        let Positions { all, ends } = &mut positions;
        at_each(postings, docs, |index, postings| {
            ends.resize(index, all.len());
            postings.append_positions_with_offset(0, all);
            ends.push(all.len());
        });
        ends.resize(docs.len(), all.len());
        positions
    }

    /// Ascending.
    fn of(&self, index: usize) -> &[u32] {
        let Some(&end) = self.ends.get(index) else {
            return &[];
        };
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[begin..end]
    }
}

/// How many of `first` have one of `second` right after them.
fn followed(first: &[u32], second: &[u32]) -> usize {
    let mut rest = second.iter().peekable();
    first
        .iter()
        .filter(|&&at| {
            while rest.next_if(|&&next| next <= at).is_some() {}
            rest.peek().is_some_and(|&&next| next == at + 1)
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followed_counts_neighbours_in_order() {
        assert_eq!(followed(&[1, 5, 9], &[2, 4, 10]), 2);
        assert_eq!(followed(&[3], &[2, 3]), 0);
        assert_eq!(followed(&[1, 2, 3], &[2, 3, 4]), 3);
        assert_eq!(followed(&[], &[1]), 0);
        assert_eq!(followed(&[1], &[]), 0);
    }

    fn terms(distinct: &[&str], sequence: &[usize]) -> Terms {
        Terms {
            distinct: distinct.iter().map(|&word| word.to_owned()).collect(),
            sequence: sequence.to_vec(),
        }
    }

    #[test]
    fn pairs_are_distinct_neighbours_that_documents_hold() {
        let field = Field::from_field_id(0);
        let query = terms(&["a", "b", "c"], &[0, 1, 0, 1, 1, 2, 0]);
        let pairs = Pairs::new(field, &query, &[Some(1.0), Some(2.0), None]);
        let found: Vec<(usize, usize, Score)> = pairs
            .pairs
            .iter()
            .map(|pair| (pair.first, pair.second, pair.idf))
            .collect();
        assert_eq!(found, [(0, 1, 3.0), (1, 0, 3.0)]);
        assert!(Pairs::new(field, &terms(&["a"], &[0]), &[Some(1.0)])
            .pairs
            .is_empty());
    }

    #[test]
    fn of_a_long_query_the_rarest_pairs_count() {
        let words: Vec<String> = (0..100).map(|i| format!("w{i}")).collect();
        let query = Terms {
            distinct: words,
            sequence: (0..100).collect(),
        };
        let idfs: Vec<Option<Score>> = (0..100).map(|i| Some(i as Score)).collect();
        let pairs = Pairs::new(Field::from_field_id(0), &query, &idfs);
        assert_eq!(pairs.pairs.len(), MAX_PAIRS);
        assert_eq!(pairs.pairs[0].idf, 98.0 + 99.0);
        assert_eq!(pairs.words.len(), MAX_PAIRS + 1);
    }
}
