//! The control tokens of a tokenizer, and finding them in text.

use std::collections::HashSet;

use tokenizers::AddedToken;

/// One control token.
pub struct ControlToken {
    pub id: u32,
    pub content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
}

/// A piece of rendered text: a control token, or text between them.
pub enum Piece {
    Control(u32),
    Text(String),
}

/// All control tokens, longest first.
pub struct ControlTokens {
    tokens: Vec<ControlToken>,
    first_chars: HashSet<char>,
}

/// Whether an added token steers the model. Special ones do; so do those that
/// are shaped like markup (`<think>`, `[TOOL_CALLS]`) though some tokenizers
/// leave them unmarked. Added words and runs of spaces are ordinary text.
pub fn is_control(content: &str, special: bool) -> bool {
    special
        || (content.starts_with('<') && content.ends_with('>'))
        || (content.starts_with('[') && content.ends_with(']'))
}

impl ControlTokens {
    pub fn new(added: impl Iterator<Item = (u32, AddedToken)>) -> Self {
        let mut tokens: Vec<ControlToken> = added
            .filter(|(_, t)| !t.content.is_empty() && is_control(&t.content, t.special))
            .map(|(id, t)| ControlToken {
                id,
                content: t.content,
                single_word: t.single_word,
                lstrip: t.lstrip,
                rstrip: t.rstrip,
            })
            .collect();
        tokens.sort_by(|a, b| (b.content.len(), &a.content).cmp(&(a.content.len(), &b.content)));
        let first_chars = tokens
            .iter()
            .filter_map(|t| t.content.chars().next())
            .collect();
        Self {
            tokens,
            first_chars,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &ControlToken> {
        self.tokens.iter()
    }

    /// Breaks `content` up with `mark`, a character that does not occur in it,
    /// so that no control token can begin, lie or end in it: after every
    /// character that begins one (on both sides of one that is a whole control
    /// token), and in front where the text could complete one that the template
    /// began.
    pub fn mark(&self, content: &str, mark: char) -> String {
        let mut out = String::with_capacity(content.len() + content.len() / 8);
        let start = content.len() - content.trim_start().len();
        let completes = self.completes(&content[start..]);
        for (at, c) in content.char_indices() {
            if (at == start && completes) || self.is_whole(c) {
                out.push(mark);
            }
            out.push(c);
            if self.first_chars.contains(&c) {
                out.push(mark);
            }
        }
        out
    }

    /// Whether one character is a control token by itself.
    fn is_whole(&self, c: char) -> bool {
        self.first_chars.contains(&c)
            && self
                .tokens
                .iter()
                .any(|token| token.content.len() == c.len_utf8() && token.content.starts_with(c))
    }

    fn completes(&self, text: &str) -> bool {
        if text.is_empty() {
            return false;
        }
        self.tokens.iter().any(|token| {
            token.content.char_indices().skip(1).any(|(at, _)| {
                let rest = &token.content[at..];
                text.starts_with(rest) || rest.starts_with(text)
            })
        })
    }

    fn find_at(&self, text: &str, at: usize, mark: char) -> Option<&ControlToken> {
        let rest = &text[at..];
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        self.tokens.iter().find(|token| {
            rest.starts_with(&token.content)
                && !(text[..at].ends_with(mark)
                    && token.content.chars().nth(1).is_none()
                    && rest[token.content.len()..].starts_with(mark))
                && !(token.single_word
                    && (word(text[..at].chars().next_back())
                        || word(rest[token.content.len()..].chars().next())))
        })
    }

    /// Cuts rendered text at its control tokens and drops the marks.
    pub fn cut(&self, rendered: &str, mark: char) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let push_text = |pieces: &mut Vec<Piece>, text: &str| {
            let clean: String = text.chars().filter(|&c| c != mark).collect();
            if !clean.is_empty() {
                pieces.push(Piece::Text(clean));
            }
        };
        let mut from = 0;
        let mut at = 0;
        while at < rendered.len() {
            let c = rendered[at..].chars().next().unwrap_or(' ');
            let found = if self.first_chars.contains(&c) {
                self.find_at(rendered, at, mark)
            } else {
                None
            };
            let Some(token) = found else {
                at += c.len_utf8();
                continue;
            };
            let mut before = &rendered[from..at];
            if token.lstrip {
                before = before.trim_end_matches(|c: char| c.is_whitespace() || c == mark);
            }
            push_text(&mut pieces, before);
            pieces.push(Piece::Control(token.id));
            at += token.content.len();
            if token.rstrip {
                let rest = &rendered[at..];
                at += rest.len()
                    - rest
                        .trim_start_matches(|c: char| c.is_whitespace() || c == mark)
                        .len();
            }
            from = at;
        }
        push_text(&mut pieces, &rendered[from..]);
        pieces
    }
}
