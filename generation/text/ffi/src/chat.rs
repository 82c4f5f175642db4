//! Chat templates as Hugging Face runs them, in a sandbox.

use std::io::{self, Write};

use minijinja::value::{Kwargs, Value as JinjaValue};
use minijinja::{context, Environment, Error, ErrorKind};
use serde_json::{Map, Value};

use crate::control::Piece;
use crate::json::{dump, JsonStyle};
use crate::strftime::strftime;
use crate::tokenizer::TextTokenizer;

const NAME: &str = "chat";
const MAX_SOURCE_BYTES: usize = 1 << 20;
const MAX_MESSAGES_BYTES: usize = 64 << 20;
/// Instructions of one rendering. The largest public templates take a few
/// hundred for a message.
const FUEL: u64 = 5_000_000;
/// Room for the template's own text, beside that of the messages.
const MAX_TEMPLATE_OUTPUT: usize = 4 << 20;

pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    globals: Map<String, Value>,
}

/// Collects output up to a limit.
struct Limited {
    out: Vec<u8>,
    limit: usize,
}

impl Write for Limited {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.out.len() + data.len() > self.limit {
            return Err(io::Error::other(format!(
                "the output is longer than {} bytes",
                self.limit
            )));
        }
        self.out.extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn describe(error: Error) -> String {
    let mut out = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        out.push_str(": ");
        out.push_str(&inner.to_string());
        source = inner.source();
    }
    out
}

fn tojson(value: JinjaValue, kwargs: Kwargs) -> Result<JinjaValue, Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    let ensure_ascii: Option<bool> = kwargs.get("ensure_ascii")?;
    let sort_keys: Option<bool> = kwargs.get("sort_keys")?;
    let separators: Option<Vec<String>> = kwargs.get("separators")?;
    kwargs.assert_all_used()?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "separators must be two strings",
            ))
        }
        None if indent.is_some() => (",".into(), ": ".into()),
        None => (", ".into(), ": ".into()),
    };
    let value = serde_json::to_value(&value).map_err(|e| {
        Error::new(ErrorKind::InvalidOperation, "cannot be written as JSON").with_source(e)
    })?;
    let style = JsonStyle {
        indent: indent.map(|width| width.min(16)),
        item_separator: item,
        key_separator: key,
        ensure_ascii: ensure_ascii.unwrap_or(false),
        sort_keys: sort_keys.unwrap_or(false),
    };
    let mut out = String::new();
    dump(&value, &style, 0, &mut out);
    Ok(JinjaValue::from(out))
}

/// Turns `{% generation %}` blocks, which only mark spans for training, into
/// blocks that do nothing.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(open) = rest.find("{%") {
        out.push_str(&rest[..open]);
        // Behind the opening: `{%}` is not a tag.
        let Some(close) = rest[open + 2..].find("%}").map(|at| at + 2) else {
            rest = &rest[open..];
            break;
        };
        let tag = &rest[open..open + close + 2];
        let inner = tag[2..tag.len() - 2]
            .trim_matches(|c: char| c == '-' || c == '+' || c.is_ascii_whitespace());
        match inner {
            "generation" => out.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif")),
            _ => out.push_str(tag),
        }
        rest = &rest[open + close + 2..];
    }
    out.push_str(rest);
    out
}

fn valid_role(role: &str) -> bool {
    !role.is_empty()
        && role.len() <= 32
        && role
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Marks every string of a message but the names of its fields.
fn mark_value(value: &mut Value, marked: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = marked(text),
        Value::Array(items) => items.iter_mut().for_each(|i| mark_value(i, marked)),
        Value::Object(fields) => fields.values_mut().for_each(|f| mark_value(f, marked)),
        _ => {}
    }
}

fn parse_messages(json: &str) -> Result<Vec<Map<String, Value>>, String> {
    if json.len() > MAX_MESSAGES_BYTES {
        return Err(format!(
            "the messages are longer than {MAX_MESSAGES_BYTES} bytes"
        ));
    }
    let messages: Vec<Map<String, Value>> =
        serde_json::from_str(json).map_err(|e| format!("messages: {e}"))?;
    for (i, message) in messages.iter().enumerate() {
        match message.get("role").and_then(Value::as_str) {
            Some(role) if valid_role(role) => {}
            _ => return Err(format!("messages[{i}].role: not a role name")),
        }
    }
    Ok(messages)
}

/// A private-use character that occurs in none of `texts`.
fn unused_char(texts: &[&str]) -> Result<char, String> {
    ('\u{100000}'..='\u{10fffd}')
        .find(|&c| !texts.iter().any(|text| text.contains(c)))
        .ok_or_else(|| "the messages use every private character".into())
}

impl ChatTemplate {
    /// `globals` is a JSON object of variables such as `bos_token`.
    pub fn new(source: &str, globals: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(format!(
                "the template is longer than {MAX_SOURCE_BYTES} bytes"
            ));
        }
        let globals: Map<String, Value> =
            serde_json::from_str(globals).map_err(|e| format!("globals: {e}"))?;
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(64);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", tojson);
        environment.add_function("raise_exception", |message: String| {
            Err::<JinjaValue, Error>(Error::new(ErrorKind::InvalidOperation, message))
        });
        let source = without_generation_tags(source);
        environment
            .add_template_owned(NAME, source.clone())
            .map_err(describe)?;
        Ok(Self {
            environment,
            source,
            globals,
        })
    }

    fn render_messages(
        &self,
        messages: &[Map<String, Value>],
        size: usize,
        add_generation_prompt: bool,
        unix_seconds: i64,
    ) -> Result<String, String> {
        let mut environment = self.environment.clone();
        environment.add_function("strftime_now", move |format: String| {
            strftime(&format, unix_seconds)
        });
        let mut writer = Limited {
            out: Vec::new(),
            limit: 2 * size + MAX_TEMPLATE_OUTPUT,
        };
        let own = context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            tools => JinjaValue::from(()),
            documents => JinjaValue::from(()),
        };
        let all = context! { ..own, ..JinjaValue::from_serialize(&self.globals) };
        environment
            .get_template(NAME)
            .and_then(|template| template.render_captured_to(all, &mut writer).map(|_| ()))
            .map_err(describe)?;
        String::from_utf8(writer.out).map_err(|e| e.to_string())
    }

    /// The text that Hugging Face would render.
    pub fn render(
        &self,
        messages: &str,
        add_generation_prompt: bool,
        unix_seconds: i64,
    ) -> Result<String, String> {
        let parsed = parse_messages(messages)?;
        self.render_messages(&parsed, messages.len(), add_generation_prompt, unix_seconds)
    }

    /// Renders and encodes. Control tokens come from the template only:
    /// whatever a message holds is encoded as ordinary text, because each of
    /// its characters that could begin a control token carries a mark through
    /// the template.
    pub fn encode(
        &self,
        tokenizer: &TextTokenizer,
        messages: &str,
        add_generation_prompt: bool,
        unix_seconds: i64,
    ) -> Result<Vec<u32>, String> {
        let mut parsed = parse_messages(messages)?;
        // The JSON text may write characters as escapes, so look at the values.
        let mut mark_source = vec![self.source.clone()];
        let mut collect = |text: &str| mark_source.push(text.to_string());
        for message in &parsed {
            message.values().for_each(|v| each_string(v, &mut collect));
        }
        let texts: Vec<&str> = mark_source.iter().map(String::as_str).collect();
        let mark = unused_char(&texts)?;
        let marked = |text: &str| tokenizer.control().mark(text, mark);
        let mut size = 0;
        for message in &mut parsed {
            for (name, value) in message.iter_mut() {
                if name != "role" {
                    mark_value(value, &marked);
                    each_string(value, &mut |text| size += text.len());
                }
            }
        }
        let rendered = self.render_messages(&parsed, size, add_generation_prompt, unix_seconds)?;

        let mut ids = Vec::new();
        for (i, piece) in tokenizer.control().cut(&rendered, mark).iter().enumerate() {
            match piece {
                Piece::Control(id) => ids.push(*id),
                Piece::Text(text) => ids.extend(tokenizer.encode_piece(text, i == 0)?),
            }
        }
        Ok(ids)
    }
}

fn each_string(value: &Value, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|i| each_string(i, visit)),
        Value::Object(fields) => fields.values().for_each(|f| each_string(f, visit)),
        _ => {}
    }
}
