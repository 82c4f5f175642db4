//! JSON as Python's `json.dumps` writes it: what `tojson` means in templates.

use serde_json::Value;

pub struct JsonStyle {
    pub indent: Option<usize>,
    pub item_separator: String,
    pub key_separator: String,
    pub ensure_ascii: bool,
    pub sort_keys: bool,
}

fn newline(out: &mut String, indent: Option<usize>, depth: usize) {
    if let Some(width) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', width.saturating_mul(depth)));
    }
}

fn string(out: &mut String, text: &str, style: &JsonStyle) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c if style.ensure_ascii && !c.is_ascii() => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

pub fn dump(value: &Value, style: &JsonStyle, depth: usize, out: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(&style.item_separator);
                }
                newline(out, style.indent, depth + 1);
                dump(item, style, depth + 1, out);
            }
            newline(out, style.indent, depth);
            out.push(']');
        }
        Value::Object(fields) if !fields.is_empty() => {
            let mut pairs: Vec<_> = fields.iter().collect();
            if style.sort_keys {
                pairs.sort_by(|a, b| a.0.cmp(b.0));
            }
            out.push('{');
            for (i, (key, field)) in pairs.into_iter().enumerate() {
                if i > 0 {
                    out.push_str(&style.item_separator);
                }
                newline(out, style.indent, depth + 1);
                string(out, key, style);
                out.push_str(&style.key_separator);
                dump(field, style, depth + 1, out);
            }
            newline(out, style.indent, depth);
            out.push('}');
        }
        Value::String(text) => string(out, text, style),
        other => out.push_str(&other.to_string()),
    }
}
