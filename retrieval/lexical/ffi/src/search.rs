//! Searching one immutable commit.

mod named;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use tantivy::columnar::ColumnValues;
use tantivy::query::{
    Bm25StatisticsProvider, BooleanQuery, BoostQuery, EnableScoring, Occur, Query, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{DocId, Score, Searcher, SegmentReader, Term};

use crate::analysis::{query_compounds, terms, Terms};
use crate::bm25::{field_scores, idf, K1};
use crate::pairs::Pairs;
use crate::schema::{Fields, CHUNK_FIELD};

/// Weight of a whole compound identifier, added to its words.
const IDENTIFIER_BOOST: Score = 1.0;
/// Documents are taken to hold so many identifiers at least: where most hold
/// none, the mean would make a text with a single one look long.
const MIN_MEAN_IDENTIFIERS: u64 = 8;
/// Weight of a word that is only part of an identifier.
const PART_BOOST: Score = 0.1;
/// Weight of a word in the title, added to its weight in title and text.
const TITLE_BOOST: Score = 0.05;
/// So many of the best by words and identifiers are compared with the query's
/// pairs of words, and their titles with its words. As clauses of the search
/// itself these would double its time.
const COMPARED: usize = 50;
/// A word in more than one of a hundred chunks, and than this, finds enough without
/// the parts of identifiers.
const MIN_COMMON_CHUNKS: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Hit {
    pub chunk: u64,
    pub score: f32,
}

impl Eq for Hit {}

/// The greater hit is the better one.
impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then(other.chunk.cmp(&self.chunk))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A hit and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    hit: Hit,
    segment: usize,
    doc: DocId,
}

/// The best hits so far.
struct TopHits {
    limit: usize,
    worst_first: BinaryHeap<Reverse<Found>>,
}

impl TopHits {
    fn new(limit: usize) -> Self {
        TopHits {
            limit,
            worst_first: BinaryHeap::with_capacity(limit + 1),
        }
    }

    fn push(&mut self, found: Found) {
        if self.worst_first.len() == self.limit {
            if self
                .worst_first
                .peek()
                .is_some_and(|worst| found <= worst.0)
            {
                return;
            }
            self.worst_first.pop();
        }
        self.worst_first.push(Reverse(found));
    }

    /// No worse score can enter.
    fn threshold(&self) -> Score {
        if self.worst_first.len() < self.limit {
            return Score::MIN;
        }
        self.worst_first
            .peek()
            .map_or(Score::MIN, |found| found.0.hit.score)
    }

    fn into_sorted(self) -> Vec<Found> {
        // Ascending by Reverse: the best hit first.
        self.worst_first
            .into_sorted_vec()
            .into_iter()
            .map(|found| found.0)
            .collect()
    }
}

fn contains(words: &[u64], chunk: u64) -> bool {
    usize::try_from(chunk / 64)
        .ok()
        .and_then(|word| words.get(word))
        .is_some_and(|word| (word >> (chunk % 64)) & 1 != 0)
}

struct Segment {
    chunks: Arc<dyn ColumnValues<u64>>,
    /// Tokens per document of each text field.
    mean_lengths: [f32; 4],
}

pub struct Snapshot {
    searcher: Searcher,
    fields: Fields,
    analyzer: TextAnalyzer,
    segments: Vec<Segment>,
    documents: u64,
    /// Of each text field, as BM25 is told.
    tokens: [u64; 4],
}

const WORDS: usize = 0;
const IDENTIFIERS: usize = 1;
const PARTS: usize = 2;
const TITLE: usize = 3;

/// What is looked at in the best documents only.
struct SecondPhase {
    pairs: Pairs,
    /// The query's words that titles hold, with their inverse document
    /// frequencies there.
    titles: Vec<(Term, Score)>,
}

struct Clause {
    field: usize,
    term: Term,
    boost: Score,
    /// How many documents hold the term.
    with: u64,
    /// No document scores more by this clause.
    max_score: Score,
}

impl Bm25StatisticsProvider for Snapshot {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        let fields = self.fields.text();
        Ok(fields
            .iter()
            .position(|known| *known == field)
            .map_or(0, |i| self.tokens[i]))
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.documents)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        self.searcher.doc_freq(term)
    }
}

impl Snapshot {
    pub fn new(
        searcher: Searcher,
        fields: Fields,
        analyzer: TextAnalyzer,
    ) -> tantivy::Result<Self> {
        let mut segments = Vec::with_capacity(searcher.segment_readers().len());
        let mut tokens = [0u64; 4];
        let mut documents = 0;
        for reader in searcher.segment_readers() {
            let mut mean_lengths = [0.0; 4];
            for (i, field) in fields.text().into_iter().enumerate() {
                let count = reader.inverted_index(field)?.total_num_tokens();
                tokens[i] += count;
                mean_lengths[i] = mean(count, u64::from(reader.max_doc()));
            }
            documents += u64::from(reader.max_doc());
            segments.push(Segment {
                chunks: reader.fast_fields().column_first_or_default(CHUNK_FIELD)?,
                mean_lengths,
            });
        }
        tokens[IDENTIFIERS] = tokens[IDENTIFIERS].max(MIN_MEAN_IDENTIFIERS * documents);
        Ok(Snapshot {
            searcher,
            fields,
            analyzer,
            segments,
            documents,
            tokens,
        })
    }

    /// The ids of all chunks, ascending.
    pub fn chunks(&self) -> Vec<u64> {
        let mut chunks = Vec::with_capacity(self.searcher.num_docs() as usize);
        for (reader, segment) in self.segments() {
            chunks.extend(
                reader
                    .doc_ids_alive()
                    .map(|doc| segment.chunks.get_val(doc)),
            );
        }
        chunks.sort_unstable();
        chunks
    }

    /// The greatest id ever seen in these segments, deleted ones included.
    pub fn max_chunk(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.chunks.max_value())
            .max()
            .unwrap_or(0)
    }

    /// The best `limit` chunks, best first; of equal scores the smaller id
    /// first. Chosen by their words and identifiers, exactly; to the scores of
    /// the first `COMPARED` of them, whatever the limit, pairs and titles are
    /// added. `allowed` is a bitmap of the ids that may be returned.
    pub fn search(
        &self,
        query: &str,
        limit: usize,
        allowed: Option<&[u64]>,
    ) -> tantivy::Result<Vec<Hit>> {
        let all = self.searcher.num_docs() as usize;
        let terms = terms(&mut self.analyzer.clone(), query);
        let (clauses, second) = self.clauses(query, &terms)?;
        if limit.min(all) == 0 || clauses.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.best(clauses, limit.max(COMPARED).min(all), allowed)?;
        let compared = found.len().min(COMPARED);
        self.add(&second, &mut found[..compared])?;
        found.truncate(limit);
        Ok(found.into_iter().map(|found| found.hit).collect())
    }

    /// The best `limit` chunks by their titles alone, as `search` orders them.
    pub fn search_titles(
        &self,
        words: &str,
        limit: usize,
        allowed: Option<&[u64]>,
    ) -> tantivy::Result<Vec<Hit>> {
        let mut clauses = Vec::new();
        for text in &terms(&mut self.analyzer.clone(), words).distinct {
            let title = Term::from_field_text(self.fields.title, text);
            let with = self.searcher.doc_freq(&title)?;
            clauses.extend(self.clause(TITLE, title, with, 1.0));
        }
        let limit = limit.min(self.searcher.num_docs() as usize);
        if limit == 0 || clauses.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.best(clauses, limit, allowed)?;
        Ok(found.into_iter().map(|found| found.hit).collect())
    }

    fn best(
        &self,
        clauses: Vec<Clause>,
        limit: usize,
        allowed: Option<&[u64]>,
    ) -> tantivy::Result<Vec<Found>> {
        let slacks: Vec<Slack> = self
            .segments
            .iter()
            .map(|segment| self.slack(segment, &clauses))
            .collect();
        let query = union(clauses);
        let weight = query.weight(EnableScoring::enabled_from_statistics_provider(
            self,
            &self.searcher,
        ))?;
        let mut top = TopHits::new(limit);
        for (index, ((reader, segment), slack)) in self.segments().zip(slacks).enumerate() {
            let alive = reader.alive_bitset();
            let threshold = slack.lower(top.threshold());
            let mut collect = |doc: DocId, score: Score| {
                if alive.is_none_or(|alive| alive.is_alive(doc)) {
                    let chunk = segment.chunks.get_val(doc);
                    if allowed.is_none_or(|words| contains(words, chunk)) {
                        top.push(Found {
                            hit: Hit { chunk, score },
                            segment: index,
                            doc,
                        });
                    }
                }
                slack.lower(top.threshold())
            };
            weight.for_each_pruning(threshold, reader, &mut collect)?;
        }
        Ok(top.into_sorted())
    }

    /// `found` is sorted, before and after.
    fn add(&self, second: &SecondPhase, found: &mut [Found]) -> tantivy::Result<()> {
        let mean_length = mean(self.tokens[WORDS], self.documents);
        let mean_title = mean(self.tokens[TITLE], self.documents);
        found.sort_unstable_by_key(|found| (found.segment, found.doc));
        for group in found.chunk_by_mut(|a, b| a.segment == b.segment) {
            let docs: Vec<DocId> = group.iter().map(|found| found.doc).collect();
            let reader = self.searcher.segment_reader(group[0].segment as u32);
            let pairs = second.pairs.scores(reader, &docs, mean_length)?;
            let titles =
                field_scores(reader, self.fields.title, &second.titles, &docs, mean_title)?;
            for (found, (pairs, title)) in group.iter_mut().zip(pairs.iter().zip(titles)) {
                found.hit.score += pairs + TITLE_BOOST * title;
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(())
    }

    fn segments(&self) -> impl Iterator<Item = (&SegmentReader, &Segment)> {
        self.searcher.segment_readers().iter().zip(&self.segments)
    }

    /// One clause for each distinct word; one more where the word is part of an
    /// identifier, or where the query holds an identifier that documents hold.
    fn clauses(&self, query: &str, terms: &Terms) -> tantivy::Result<(Vec<Clause>, SecondPhase)> {
        let mut clauses = Vec::new();
        let mut titles = Vec::new();
        let mut idfs = Vec::with_capacity(terms.distinct.len());
        let common = (self.documents / 100).max(MIN_COMMON_CHUNKS);
        for text in &terms.distinct {
            let word = Term::from_field_text(self.fields.words, text);
            let with_word = self.searcher.doc_freq(&word)?;
            idfs.push((with_word > 0).then(|| idf(self.documents, with_word)));
            if with_word <= common {
                let part = Term::from_field_text(self.fields.parts, text);
                let with_part = self.searcher.doc_freq(&part)?;
                clauses.extend(self.clause(PARTS, part, with_part, PART_BOOST));
            }
            if with_word > 0 {
                let title = Term::from_field_text(self.fields.title, text);
                let with_title = self.searcher.doc_freq(&title)?;
                if with_title > 0 {
                    titles.push((title, idf(self.documents, with_title)));
                }
            }
            clauses.extend(self.clause(WORDS, word, with_word, 1.0));
        }
        for compound in query_compounds(query) {
            let identifier = Term::from_field_text(self.fields.identifiers, &compound);
            let with = self.searcher.doc_freq(&identifier)?;
            clauses.extend(self.clause(IDENTIFIERS, identifier, with, IDENTIFIER_BOOST));
        }
        let pairs = Pairs::new(self.fields.words, terms, &idfs);
        Ok((clauses, SecondPhase { pairs, titles }))
    }

    /// None for a term that no document holds.
    fn clause(&self, field: usize, term: Term, with: u64, boost: Score) -> Option<Clause> {
        (with > 0).then(|| Clause {
            field,
            term,
            boost,
            with,
            max_score: boost * idf(self.documents, with) * (K1 + 1.0),
        })
    }

    /// How far thresholds must be lowered before Tantivy prunes with them.
    ///
    /// Tantivy stores for each block the document that scores best at the mean
    /// length of its segment; at the mean length that BM25 is told another one
    /// may score better, at most by the ratio of the two. Lowering the threshold
    /// by as much keeps the top exact.
    fn slack(&self, segment: &Segment, clauses: &[Clause]) -> Slack {
        let ratios = [WORDS, IDENTIFIERS, PARTS, TITLE].map(|field| {
            let here = segment.mean_lengths[field];
            let told = mean(self.tokens[field], self.documents);
            if here > 0.0 && told > 0.0 {
                (here / told).max(told / here)
            } else {
                1.0
            }
        });
        let subtracted = clauses
            .iter()
            .filter(|clause| clause.field != WORDS)
            .map(|clause| clause.max_score * (1.0 - 1.0 / ratios[clause.field]))
            .sum();
        Slack {
            // The last digits make up for sums in another order, and let equal
            // scores through.
            factor: (1.0 - 1e-5) / ratios[WORDS],
            subtracted,
        }
    }
}

#[derive(Clone, Copy)]
struct Slack {
    factor: Score,
    subtracted: Score,
}

impl Slack {
    fn lower(self, threshold: Score) -> Score {
        if threshold == Score::MIN {
            return threshold;
        }
        threshold * self.factor - self.subtracted
    }
}

fn mean(tokens: u64, documents: u64) -> f32 {
    if documents == 0 {
        0.0
    } else {
        (tokens as f64 / documents as f64) as f32
    }
}

/// Only terms, boosted or not, under one union: what Tantivy prunes with
/// block-max WAND.
fn union(mut clauses: Vec<Clause>) -> Box<dyn Query> {
    let query = |clause: Clause| -> Box<dyn Query> {
        let term = TermQuery::new(clause.term, IndexRecordOption::WithFreqs);
        if clause.boost == 1.0 {
            Box::new(term)
        } else {
            Box::new(BoostQuery::new(Box::new(term), clause.boost))
        }
    };
    if clauses.len() == 1 {
        return query(clauses.remove(0));
    }
    Box::new(BooleanQuery::new(
        clauses
            .into_iter()
            .map(|clause| (Occur::Should, query(clause)))
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_hits_keep_the_best_and_the_smaller_id_of_equals() {
        let mut top = TopHits::new(3);
        assert_eq!(top.threshold(), Score::MIN);
        for (chunk, score) in [(9, 1.0), (5, 2.0), (4, 2.0), (7, 2.0), (3, 0.5)] {
            top.push(Found {
                hit: Hit { chunk, score },
                segment: 0,
                doc: 0,
            });
        }
        assert_eq!(top.threshold(), 2.0);
        let chunks: Vec<u64> = top
            .into_sorted()
            .iter()
            .map(|found| found.hit.chunk)
            .collect();
        assert_eq!(chunks, [4, 5, 7]);
    }

    #[test]
    fn bitmaps_end_where_they_end() {
        let words = [1 << 63, 1];
        assert!(contains(&words, 63) && contains(&words, 64));
        assert!(!contains(&words, 62) && !contains(&words, 128));
        assert!(!contains(&words, u64::MAX) && !contains(&[], 0));
    }
}
