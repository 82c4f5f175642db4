//! From text to terms: the stemmed words of both documents and queries, the
//! compound identifiers (`max_wal_size`) and the parts of the others
//! (`getUserName`).

use tantivy::tokenizer::{
    Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, TextAnalyzer,
    WhitespaceTokenizer,
};

/// Goes up when the same text would give other terms: older indexes are then
/// built anew.
pub const ANALYSIS_VERSION: u64 = 1;

/// Words of this many bytes and more are not indexed.
const MAX_WORD_BYTES: usize = 40;
const MAX_IDENTIFIER_BYTES: usize = 128;

const LANGUAGES: &[(&str, Language)] = &[
    ("ar", Language::Arabic),
    ("da", Language::Danish),
    ("de", Language::German),
    ("el", Language::Greek),
    ("en", Language::English),
    ("es", Language::Spanish),
    ("fi", Language::Finnish),
    ("fr", Language::French),
    ("hu", Language::Hungarian),
    ("it", Language::Italian),
    ("nl", Language::Dutch),
    ("no", Language::Norwegian),
    ("pt", Language::Portuguese),
    ("ro", Language::Romanian),
    ("ru", Language::Russian),
    ("sv", Language::Swedish),
    ("ta", Language::Tamil),
    ("tr", Language::Turkish),
];

/// The stemmer of an ISO 639-1 code; an error lists the codes there are.
pub fn language_of(code: &str) -> Result<Language, String> {
    LANGUAGES
        .iter()
        .find(|(known, _)| *known == code)
        .map(|(_, language)| *language)
        .ok_or_else(|| {
            let known: Vec<&str> = LANGUAGES.iter().map(|(known, _)| *known).collect();
            format!(
                "no stemmer for language {code:?}; there are: {}",
                known.join(", ")
            )
        })
}

/// Splits at everything that is not alphanumeric, drops long words, lower-cases
/// and stems. Stop words and accents stay.
pub fn word_analyzer(language: Language) -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD_BYTES))
        .filter(LowerCaser)
        .filter(Stemmer::new(language))
        .build()
}

/// For the text that `identifiers` makes: terms as they stand.
pub fn identifier_analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(WhitespaceTokenizer::default()).build()
}

/// For the text that `parts` makes: stemmed like words, so that a word of the
/// query finds them.
pub fn part_analyzer(language: Language) -> TextAnalyzer {
    TextAnalyzer::builder(WhitespaceTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD_BYTES))
        .filter(LowerCaser)
        .filter(Stemmer::new(language))
        .build()
}

/// The terms of a text, each once, and how they follow each other.
pub struct Terms {
    /// In order of first appearance.
    pub distinct: Vec<String>,
    /// The text as indexes into `distinct`.
    pub sequence: Vec<usize>,
}

pub fn terms(analyzer: &mut TextAnalyzer, text: &str) -> Terms {
    let mut known = std::collections::HashMap::new();
    let mut terms = Terms {
        distinct: Vec::new(),
        sequence: Vec::new(),
    };
    analyzer.token_stream(text).process(&mut |token| {
        let next = terms.distinct.len();
        let index = *known.entry(token.text.clone()).or_insert(next);
        if index == next {
            terms.distinct.push(token.text.clone());
        }
        terms.sequence.push(index);
    });
    terms
}

/// Characters that join the words of an identifier.
fn is_joint(c: char) -> bool {
    matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '#' | '\\' | '+')
}

/// How a compound was written, apart from its own characters.
#[derive(Clone, Copy, Default)]
struct Context {
    /// After `--`, as an option of a command.
    option: bool,
    /// After `/`, as a path from the root.
    rooted: bool,
}

/// Calls `emit` for each run of words and joints that has a joint within, with
/// the joints around it taken off (`C++` and `C#` keep theirs).
fn for_each_compound<'a>(text: &'a str, mut emit: impl FnMut(&'a str, Context)) {
    let mut start = None;
    let mut previous = ' ';
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        // '>' joins only as the arrow "->".
        let inside = c.is_alphanumeric() || is_joint(c) || (c == '>' && previous == '-');
        previous = c;
        match (inside, start) {
            (true, None) => start = Some(at),
            (false, Some(begin)) => {
                start = None;
                trim_compound(&text[begin..at], &mut emit);
            }
            _ => {}
        }
    }
}

fn trim_compound<'a>(run: &'a str, emit: &mut impl FnMut(&'a str, Context)) {
    let begun = run.trim_start_matches(|c: char| !c.is_alphanumeric());
    let before = &run[..run.len() - begun.len()];
    let core = begun.trim_end_matches(|c: char| !c.is_alphanumeric());
    let after = &begun[core.len()..];
    if core.is_empty() {
        return;
    }
    let kept = if core.chars().next_back().is_some_and(char::is_alphabetic) {
        if after.starts_with("++") {
            2
        } else if after.starts_with('#') {
            1
        } else {
            0
        }
    } else {
        0
    };
    let compound = &begun[..core.len() + kept];
    if compound.chars().all(char::is_alphanumeric) {
        return;
    }
    let context = Context {
        option: before.ends_with("--"),
        rooted: before.ends_with('/'),
    };
    emit(compound, context);
}

/// "1990s", "20th": digits that prose writes with letters.
fn is_ordinal(word: &str) -> bool {
    let letters = word.trim_start_matches(|c: char| c.is_ascii_digit());
    letters.len() < word.len()
        && ["s", "st", "nd", "rd", "th"]
            .iter()
            .any(|suffix| letters.eq_ignore_ascii_case(suffix))
}

fn has_digit(word: &str) -> bool {
    word.chars().any(|c| c.is_ascii_digit())
}

fn has_letter(word: &str) -> bool {
    word.chars().any(char::is_alphabetic)
}

/// Whether a compound names something, where prose writes such compounds too:
/// hyphenated words, "and/or", "e.g.", decimals, times and dates are none.
fn is_identifier(compound: &str, context: Context) -> bool {
    if ["_", "::", "->", "#", "\\", "@", "++"]
        .iter()
        .any(|joint| compound.contains(joint))
    {
        return true;
    }
    if context.option && compound.contains('-') {
        return true;
    }
    let words: Vec<&str> = compound
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let letters = words.iter().any(|word| has_letter(word));
    // Paths: /etc/hosts, src/main/java.
    let slashes = compound.matches('/').count() + usize::from(context.rooted);
    if letters && slashes >= 2 {
        return true;
    }
    // x86-64, v1.2.
    let mixed = |word: &&str| has_digit(word) && has_letter(word) && !is_ordinal(word);
    if words.iter().any(|word| mixed(&word)) {
        return true;
    }
    // SKU-1234, COVID-19: capitals and digits only.
    if letters
        && compound.chars().any(|c| c.is_ascii_digit())
        && !compound.chars().any(char::is_lowercase)
        && !words.iter().any(|word| is_ordinal(word))
    {
        return true;
    }
    // libpq.h, vespa.ai, 1.2.3; not "U.S", "e.g", "3.14".
    let dots = compound.matches('.').count();
    dots >= 1
        && if letters {
            words.iter().any(|word| word.chars().count() >= 3)
        } else {
            dots >= 2
        }
}

/// Calls `emit` for a compound and for the pieces that name something in their
/// own right: of `std::max_element` also `max_element`, of
/// `/usr/include/libpq-fe.h` also `libpq-fe.h`.
fn for_each_piece<'a>(compound: &'a str, mut emit: impl FnMut(&'a str, bool)) {
    emit(compound, true);
    let coarse = compound.split(['/', ':', '>', '@', '#', '\\']);
    for piece in coarse {
        let piece = piece.trim_matches(|c: char| !c.is_alphanumeric());
        if piece.len() < compound.len() && piece.chars().any(is_joint) {
            emit(piece, false);
        }
        for fine in piece.split('.') {
            let fine = fine.trim_matches(|c: char| !c.is_alphanumeric());
            if fine.len() < piece.len() && fine.chars().any(is_joint) {
                emit(fine, false);
            }
        }
    }
}

/// The compound identifiers of a document's text, lower-cased, separated by
/// blanks, appended to `out`.
pub fn identifiers(text: &str, out: &mut String) {
    for_each_compound(text, |compound, context| {
        for_each_piece(compound, |piece, whole| {
            let context = if whole { context } else { Context::default() };
            if piece.len() <= MAX_IDENTIFIER_BYTES && is_identifier(piece, context) {
                push_lower(piece, out);
            }
        });
    });
}

/// The distinct compounds of a query, of any shape: what the documents hold
/// decides which of them are identifiers.
pub fn query_compounds(text: &str) -> Vec<String> {
    let mut compounds: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for_each_compound(text, |compound, _| {
        for_each_piece(compound, |piece, _| {
            if piece.len() <= MAX_IDENTIFIER_BYTES {
                let lower = lower_case(piece);
                if seen.insert(lower.clone()) {
                    compounds.push(lower);
                }
            }
        });
    });
    compounds
}

/// The parts of the words that join several without a sign between, lower-cased,
/// separated by blanks, appended to `out`. Parts end where the case rises
/// (`getUserName`, `HTTPServer`) and between letters and digits (`40P01`). Each
/// part of two characters and more counts, and so does the rest of the word from
/// each part on: get, user, name, username; 40, 01, p01.
pub fn parts(text: &str, out: &mut String) {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let mut chars: Vec<(usize, char)> = Vec::new();
    for word in words.filter(|word| word.len() >= 3 && word.len() <= MAX_IDENTIFIER_BYTES) {
        chars.clear();
        chars.extend(word.char_indices());
        let is_boundary = |i: usize| {
            let (before, here) = (chars[i - 1].1, chars[i].1);
            let after = chars.get(i + 1).map(|&(_, c)| c);
            let camel = here.is_uppercase()
                && (before.is_lowercase()
                    || (before.is_uppercase() && after.is_some_and(char::is_lowercase)));
            camel
                || (before.is_alphabetic() && here.is_numeric())
                || (before.is_numeric() && here.is_alphabetic())
        };
        if !(1..chars.len()).any(is_boundary) || is_ordinal(word) {
            continue;
        }
        let mut begin = 0;
        for i in 1..=chars.len() {
            if i < chars.len() && !is_boundary(i) {
                continue;
            }
            let end = chars.get(i).map_or(word.len(), |&(at, _)| at);
            let from = chars[begin].0;
            if i - begin >= 2 {
                push_lower(&word[from..end], out);
            }
            // The first suffix is the word itself, the last is its last part.
            if begin > 0 && i < chars.len() {
                push_lower(&word[from..], out);
            }
            begin = i;
        }
    }
}

/// Character by character: `str::to_lowercase` looks at the neighbours of a
/// final sigma, so that a piece would differ from the same piece in a whole.
fn lower_case(word: &str) -> String {
    word.chars().flat_map(char::to_lowercase).collect()
}

fn push_lower(word: &str, out: &mut String) {
    if !out.is_empty() {
        out.push(' ');
    }
    out.push_str(&lower_case(word));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identifiers_of(text: &str) -> Vec<String> {
        let mut out = String::new();
        identifiers(text, &mut out);
        out.split_whitespace().map(str::to_owned).collect()
    }

    fn parts_of(text: &str) -> Vec<String> {
        let mut out = String::new();
        parts(text, &mut out);
        out.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn words_are_split_lowered_and_stemmed() {
        let mut analyzer = word_analyzer(Language::English);
        let long = "x".repeat(40);
        let text = format!("The Running-dogs foo_bar-1 the café {long}");
        assert_eq!(
            terms(&mut analyzer, &text).distinct,
            ["the", "run", "dog", "foo", "bar", "1", "café"]
        );
        let just_short_enough = "y".repeat(39);
        assert_eq!(
            terms(&mut analyzer, &just_short_enough).distinct,
            [just_short_enough.as_str()]
        );
    }

    #[test]
    fn each_language_has_its_own_stemmer() {
        let mut german = word_analyzer(language_of("de").unwrap());
        assert_eq!(terms(&mut german, "Häuser").distinct, ["haus"]);
        let mut french = word_analyzer(language_of("fr").unwrap());
        assert_eq!(
            terms(&mut french, "continuellement").distinct,
            ["continuel"]
        );
        let error = language_of("xx").unwrap_err();
        assert!(error.contains("\"xx\"") && error.contains("en") && error.contains("tr"));
    }

    #[test]
    fn identifiers_are_found() {
        assert_eq!(identifiers_of("set `max_wal_size`, now."), ["max_wal_size"]);
        assert_eq!(identifiers_of("#include <libpq-fe.h>"), ["libpq-fe.h"]);
        assert_eq!(
            identifiers_of("item SKU-1234/B."),
            ["sku-1234/b", "sku-1234"]
        );
        assert_eq!(identifiers_of("a std::vector<int>"), ["std::vector"]);
        assert_eq!(
            identifiers_of("std::max_element()"),
            ["std::max_element", "max_element"]
        );
        assert_eq!(
            identifiers_of("/usr/include/libpq-fe.h"),
            ["usr/include/libpq-fe.h", "libpq-fe.h"]
        );
        assert_eq!(identifiers_of("run --no-sync-all"), ["no-sync-all"]);
        assert_eq!(
            identifiers_of("C++, C# and p->next"),
            ["c++", "c#", "p->next"]
        );
        assert_eq!(
            identifiers_of("COVID-19 on x86-64, 1.2.3"),
            ["covid-19", "x86-64", "1.2.3"]
        );
    }

    #[test]
    fn prose_has_no_identifiers() {
        let prose = "A well-known, state-of-the-art idea (e.g. in the U.S. and/or the 19th-century \
                     mid-1990s) costs 3.14 at 10:30 on 1999-12-31, a 50-year-old's -- or so -- 12/31.";
        assert_eq!(identifiers_of(prose), Vec::<String>::new());
    }

    #[test]
    fn queries_try_every_compound() {
        assert_eq!(
            query_compounds("is sku-1234/b or and/or well-known? SKU-1234/B"),
            ["sku-1234/b", "sku-1234", "and/or", "well-known"]
        );
    }

    #[test]
    fn parts_end_at_case_and_digits() {
        assert_eq!(parts_of("getUserName"), ["get", "user", "username", "name"]);
        assert_eq!(parts_of("HTTPServer"), ["http", "server"]);
        assert_eq!(parts_of("40P01"), ["40", "p01", "01"]);
        assert_eq!(parts_of("E0502"), ["0502"]);
        assert_eq!(
            parts_of("plain words, 1990s 20th 12345 NASA"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn any_text_is_taken() {
        for text in [
            "",
            "-",
            "::",
            "\u{0}\u{1}",
            "ß",
            "--",
            "++",
            "é#",
            "...a...",
            "\u{fffd}_\u{fffd}",
            "İ_İ",
        ] {
            identifiers_of(text);
            parts_of(text);
            query_compounds(text);
        }
    }
}
