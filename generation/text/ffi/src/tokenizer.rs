//! A `tokenizer.json`, opened for trusted and for untrusted text.

use std::collections::{BTreeSet, HashSet};
use std::panic::{catch_unwind, AssertUnwindSafe};

use serde_json::Value;
use tokenizers::Tokenizer;

use crate::control::{is_control, ControlTokens};

/// Rounds of cutting text whose plain pieces still spell a control token.
const MAX_CUT_ROUNDS: usize = 8;

#[derive(Clone, Copy, Default)]
pub struct EncodeFlags {
    pub add_special: bool,
    pub parse_special: bool,
    pub spans: bool,
}

#[derive(Default)]
pub struct Tokens {
    pub ids: Vec<u32>,
    /// Byte offsets; empty unless asked for.
    pub spans: Vec<(u32, u32)>,
}

pub struct TextTokenizer {
    /// As Hugging Face would run it: recognises control tokens in text.
    trusting: Tokenizer,
    /// The same with every control token left as ordinary text.
    plain: Tokenizer,
    /// `plain` for text that does not begin the sequence; only where that makes
    /// a difference (Metaspace that prefixes the first word only).
    continuing: Option<Tokenizer>,
    control: ControlTokens,
    /// Ids that plain text must never become. Not the unknown token: the model
    /// writes that itself for text that it has no other token for.
    forbidden: HashSet<u32>,
}

struct Run {
    ids: Vec<u32>,
    spans: Vec<(u32, u32)>,
    added: Vec<bool>, // by the post-processor
}

impl Run {
    fn keep(&mut self, keep: &[bool]) {
        if keep.iter().all(|&k| k) {
            return;
        }
        let kept = |i: &usize| keep[*i];
        self.ids = (0..keep.len()).filter(kept).map(|i| self.ids[i]).collect();
        self.spans = (0..keep.len())
            .filter(kept)
            .map(|i| self.spans[i])
            .collect();
        self.added = (0..keep.len())
            .filter(kept)
            .map(|i| self.added[i])
            .collect();
    }
}

fn parse(json: &Value) -> Result<Tokenizer, String> {
    let bytes = serde_json::to_vec(json).map_err(|e| e.to_string())?;
    Tokenizer::from_bytes(bytes).map_err(|e| e.to_string())
}

/// Sets every `prepend_scheme` of "first" to "never"; true if there was one.
fn never_prepend(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => {
            let mut changed = false;
            for (key, field) in fields.iter_mut() {
                if key == "prepend_scheme" && field == "first" {
                    *field = Value::from("never");
                    changed = true;
                } else {
                    changed |= never_prepend(field);
                }
            }
            changed
        }
        Value::Array(items) => items.iter_mut().fold(false, |c, i| never_prepend(i) | c),
        _ => false,
    }
}

fn unknown_id(json: &Value, tokenizer: &Tokenizer) -> Option<u32> {
    let model = json.get("model")?;
    if let Some(id) = model.get("unk_id").and_then(Value::as_u64) {
        return u32::try_from(id).ok();
    }
    tokenizer.token_to_id(model.get("unk_token")?.as_str()?)
}

impl TextTokenizer {
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let mut json: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let fields = json.as_object_mut().ok_or("not a JSON object")?;
        // Cutting and padding are the caller's business, not the file's.
        fields.insert("truncation".into(), Value::Null);
        fields.insert("padding".into(), Value::Null);
        let trusting = parse(&json)?;
        // Callers hold ids as i32.
        if let Some((token, id)) = trusting
            .get_vocab(true)
            .into_iter()
            .find(|(_, id)| i32::try_from(*id).is_err())
        {
            return Err(format!("the token {token:?} has the id {id}"));
        }
        // The library panics if the post-processor's template names a token
        // that it does not define: better now than in every request.
        if catch_unwind(AssertUnwindSafe(|| trusting.encode("a", true))).is_err() {
            return Err("its parts do not fit together".into());
        }

        if let Some(added) = json.get_mut("added_tokens").and_then(Value::as_array_mut) {
            for token in added {
                let content = token.get("content").and_then(Value::as_str).unwrap_or("");
                if is_control(content, false) {
                    token["special"] = Value::from(true);
                }
            }
        }
        let mut plain = parse(&json)?;
        plain.set_encode_special_tokens(true);
        let continuing = match json.get_mut("pre_tokenizer").map(never_prepend) {
            Some(true) => {
                let mut tokenizer = parse(&json)?;
                tokenizer.set_encode_special_tokens(true);
                Some(tokenizer)
            }
            _ => None,
        };

        let control = ControlTokens::new(plain.get_added_tokens_decoder().into_iter());
        let unknown = unknown_id(&json, &plain);
        let forbidden = control
            .iter()
            .map(|token| token.id)
            .filter(|&id| Some(id) != unknown)
            .collect();
        Ok(Self {
            trusting,
            plain,
            continuing,
            control,
            forbidden,
        })
    }

    pub fn control(&self) -> &ControlTokens {
        &self.control
    }

    /// Without `spans` the offsets are all zero, which is faster to make.
    fn run(
        tokenizer: &Tokenizer,
        text: &str,
        add_special: bool,
        spans: bool,
    ) -> Result<Run, String> {
        let encoding = if spans {
            tokenizer.encode(text, add_special)
        } else {
            tokenizer.encode_fast(text, add_special)
        }
        .map_err(|e| e.to_string())?;
        Ok(Run {
            ids: encoding.get_ids().to_vec(),
            spans: encoding
                .get_offsets()
                .iter()
                .map(|o| (o.0 as u32, o.1 as u32))
                .collect(),
            added: encoding
                .get_special_tokens_mask()
                .iter()
                .map(|&m| m != 0)
                .collect(),
        })
    }

    fn is_forbidden(&self, run: &Run, i: usize) -> bool {
        !run.added[i] && self.forbidden.contains(&run.ids[i])
    }

    /// Encodes untrusted text. A vocabulary may hold a control token as an
    /// ordinary piece too; such text is cut behind the piece's first character
    /// and encoded in parts.
    fn run_plain(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
        add: bool,
        spans: bool,
    ) -> Result<Run, String> {
        let mut run = Self::run(tokenizer, text, add, spans)?;
        let clean = |run: &Run| (0..run.ids.len()).all(|i| !self.is_forbidden(run, i));
        if clean(&run) {
            return Ok(run);
        }
        if !spans {
            run = Self::run(tokenizer, text, add, true)?;
        }
        let mut cuts = BTreeSet::new();
        for _ in 0..MAX_CUT_ROUNDS {
            let before = cuts.len();
            for i in (0..run.ids.len()).filter(|&i| self.is_forbidden(&run, i)) {
                let (begin, end) = (run.spans[i].0 as usize, run.spans[i].1 as usize);
                let first = text.get(begin..end).and_then(|s| s.chars().next());
                cuts.extend(first.map(|c| begin + c.len_utf8()).filter(|&c| c < end));
            }
            if cuts.len() == before {
                break;
            }
            run = Self::run_parts(tokenizer, text, &cuts, run)?;
        }
        // What is left is one character that is a control token by itself:
        // nothing else can stand for it.
        let keep: Vec<bool> = (0..run.ids.len())
            .map(|i| !self.is_forbidden(&run, i))
            .collect();
        run.keep(&keep);
        Ok(run)
    }

    /// Encodes `text` in the parts between `cuts`, keeping what the
    /// post-processor had added around it in `old`.
    fn run_parts(
        tokenizer: &Tokenizer,
        text: &str,
        cuts: &BTreeSet<usize>,
        old: Run,
    ) -> Result<Run, String> {
        let head = old.added.iter().take_while(|&&a| a).count();
        let tail = old.added[head..].iter().rev().take_while(|&&a| a).count();
        let mut run = Run {
            ids: old.ids[..head].to_vec(),
            spans: old.spans[..head].to_vec(),
            added: old.added[..head].to_vec(),
        };
        let mut from = 0;
        for &to in cuts.iter().chain(std::iter::once(&text.len())) {
            let part = Self::run(tokenizer, &text[from..to], false, true)?;
            let base = from as u32;
            run.ids.extend(part.ids);
            run.added.extend(part.added);
            run.spans
                .extend(part.spans.iter().map(|s| (s.0 + base, s.1 + base)));
            from = to;
        }
        let rest = old.ids.len() - tail;
        run.ids.extend(&old.ids[rest..]);
        run.spans.extend(&old.spans[rest..]);
        run.added.extend(&old.added[rest..]);
        Ok(run)
    }

    pub fn encode(
        &self,
        text: &str,
        flags: EncodeFlags,
        max_tokens: usize,
    ) -> Result<Tokens, String> {
        if text.len() > u32::MAX as usize {
            return Err("the text is longer than 4 GiB".into());
        }
        let mut run = if flags.parse_special {
            Self::run(&self.trusting, text, flags.add_special, flags.spans)?
        } else {
            self.run_plain(&self.plain, text, flags.add_special, flags.spans)?
        };
        if max_tokens > 0 && run.ids.len() > max_tokens {
            truncate(&mut run, max_tokens)?;
        }
        Ok(Tokens {
            ids: run.ids,
            spans: if flags.spans { run.spans } else { Vec::new() },
        })
    }

    /// Encodes untrusted or template text that holds no control token.
    pub fn encode_piece(&self, text: &str, begins: bool) -> Result<Vec<u32>, String> {
        let tokenizer = match &self.continuing {
            Some(continuing) if !begins => continuing,
            _ => &self.plain,
        };
        Ok(self.run_plain(tokenizer, text, false, false)?.ids)
    }

    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, String> {
        self.trusting
            .decode(ids, skip_special)
            .map_err(|e| e.to_string())
    }

    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.trusting.token_to_id(token)
    }

    pub fn vocab_size(&self) -> usize {
        self.trusting.get_vocab_size(true)
    }
}

/// Drops tokens of the text from its end; what the post-processor added stays.
fn truncate(run: &mut Run, max_tokens: usize) -> Result<(), String> {
    let added = run.added.iter().filter(|&&a| a).count();
    let Some(mut room) = max_tokens.checked_sub(added) else {
        return Err(format!(
            "max_tokens is {max_tokens}, but the special tokens alone are {added}"
        ));
    };
    let keep: Vec<bool> = run
        .added
        .iter()
        .map(|&added| {
            if added {
                return true;
            }
            let fits = room > 0;
            room = room.saturating_sub(1);
            fits
        })
        .collect();
    run.keep(&keep);
    Ok(())
}
