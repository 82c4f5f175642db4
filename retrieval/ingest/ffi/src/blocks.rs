//! Flattens pulldown-cmark's event stream to leaf blocks in source order.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use std::ops::Range;

#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    Heading = 0,
    Paragraph = 1,
    ListItem = 2,
    Table = 3,
    Code = 4,
}

/// Mirrors BraidMarkdownBlock in markdown_ffi.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub kind: BlockKind,
    pub level: u32,
    pub begin: u64,
    pub end: u64,
    pub heading_begin: u64,
    pub heading_end: u64,
}

pub struct Document {
    pub blocks: Vec<Block>,
    /// Plain text of all headings, one after the other.
    pub headings: String,
    /// What lies between the two fences of the front matter; empty if none.
    pub front_matter: Range<usize>,
}

/// A leaf block whose end has not been seen.
struct Leaf {
    kind: BlockKind,
    level: u32,
    range: Range<usize>,
    heading_begin: usize,
    front_matter: bool,
    depth: usize,
}

struct Builder<'a> {
    source: &'a str,
    document: Document,
    leaf: Option<Leaf>,
    /// Text that stands in a tight list item without a paragraph of its own.
    run: Option<Range<usize>>,
    /// Where the marker of the containers opened last begins: it belongs to the
    /// first leaf inside, so that a chunk shows "- item", not "item".
    marker: Option<usize>,
    open_items: usize,
    last_end: usize,
}

pub fn parse(source: &str) -> Document {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut builder = Builder {
        source,
        document: Document {
            blocks: Vec::new(),
            headings: String::new(),
            front_matter: 0..0,
        },
        leaf: None,
        run: None,
        marker: None,
        open_items: 0,
        last_end: 0,
    };
    for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
        match event {
            Event::Start(tag) => builder.start(&tag, range),
            Event::End(tag) => builder.end(tag),
            Event::Rule => builder.flush_run(),
            Event::Text(text) | Event::Code(text) => {
                builder.heading_text(&text);
                builder.inline(&range);
                builder.front_matter_text(range);
            }
            Event::SoftBreak | Event::HardBreak => {
                builder.heading_text(" ");
                builder.inline(&range);
            }
            _ => builder.inline(&range),
        }
    }
    builder.flush_run();
    builder.document
}

fn heading_level(level: HeadingLevel) -> u32 {
    level as u32
}

impl Builder<'_> {
    fn start(&mut self, tag: &Tag, range: Range<usize>) {
        if let Some(leaf) = &mut self.leaf {
            leaf.depth += 1;
            return;
        }
        let (kind, level) = match tag {
            Tag::Heading { level, .. } => (BlockKind::Heading, heading_level(*level)),
            Tag::Paragraph | Tag::HtmlBlock | Tag::MetadataBlock(_) => (self.text_kind(), 0),
            Tag::CodeBlock(_) => (BlockKind::Code, 0),
            Tag::Table(_) => (BlockKind::Table, 0),
            Tag::BlockQuote(_) | Tag::List(_) | Tag::FootnoteDefinition(_) => {
                self.flush_run();
                self.marker.get_or_insert(range.start);
                return;
            }
            Tag::Item => {
                self.flush_run();
                self.open_items += 1;
                self.marker.get_or_insert(range.start);
                return;
            }
            _ => {
                self.inline(&range);
                return;
            }
        };
        self.flush_run();
        let begin = self.marker.take().unwrap_or(range.start);
        self.leaf = Some(Leaf {
            kind,
            level,
            range: begin..range.end,
            heading_begin: self.document.headings.len(),
            front_matter: matches!(tag, Tag::MetadataBlock(_)),
            depth: 1,
        });
    }

    fn end(&mut self, tag: TagEnd) {
        if let Some(leaf) = &mut self.leaf {
            leaf.depth -= 1;
            if leaf.depth == 0 {
                self.close_leaf();
            }
            return;
        }
        match tag {
            TagEnd::Item => {
                self.flush_run();
                self.open_items -= 1;
                self.marker = None;
            }
            TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::FootnoteDefinition => {
                self.flush_run();
                self.marker = None;
            }
            _ => {}
        }
    }

    fn close_leaf(&mut self) {
        let Some(leaf) = self.leaf.take() else { return };
        if leaf.front_matter {
            self.last_end = leaf.range.end;
            return;
        }
        self.emit(leaf.kind, leaf.level, leaf.range, leaf.heading_begin);
    }

    fn text_kind(&self) -> BlockKind {
        if self.open_items > 0 {
            BlockKind::ListItem
        } else {
            BlockKind::Paragraph
        }
    }

    fn heading_text(&mut self, text: &str) {
        if matches!(&self.leaf, Some(leaf) if leaf.kind == BlockKind::Heading) {
            self.document.headings.push_str(text);
        }
    }

    fn front_matter_text(&mut self, range: Range<usize>) {
        if matches!(&self.leaf, Some(leaf) if leaf.front_matter) {
            self.document.front_matter = range;
        }
    }

    fn inline(&mut self, range: &Range<usize>) {
        if self.leaf.is_some() {
            return;
        }
        match &mut self.run {
            Some(run) => run.end = run.end.max(range.end),
            None => {
                let begin = self.marker.take().unwrap_or(range.start);
                self.run = Some(begin..range.end);
            }
        }
    }

    fn flush_run(&mut self) {
        if let Some(run) = self.run.take() {
            let at = self.document.headings.len();
            self.emit(self.text_kind(), 0, run, at);
        }
    }

    /// Adds a block without trailing white space, from the start of its line
    /// where only blanks precede it, and never over the one before.
    fn emit(&mut self, kind: BlockKind, level: u32, range: Range<usize>, heading_begin: usize) {
        let bytes = self.source.as_bytes();
        let mut begin = range.start.max(self.last_end);
        let mut line = begin;
        while line > self.last_end && matches!(bytes[line - 1], b' ' | b'\t') {
            line -= 1;
        }
        if line == 0 || (line > self.last_end && bytes[line - 1] == b'\n') {
            begin = line;
        }
        if range.end <= begin {
            return;
        }
        let end = begin + self.source[begin..range.end].trim_end().len();
        if end <= begin {
            return;
        }
        self.last_end = end;
        self.document.blocks.push(Block {
            kind,
            level,
            begin: begin as u64,
            end: end as u64,
            heading_begin: heading_begin as u64,
            heading_end: self.document.headings.len() as u64,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(source: &str) -> Vec<(BlockKind, String)> {
        let document = parse(source);
        let mut last = 0;
        document
            .blocks
            .iter()
            .map(|block| {
                assert!(block.begin >= last && block.end > block.begin);
                last = block.end;
                let range = block.begin as usize..block.end as usize;
                (block.kind, source[range].to_string())
            })
            .collect()
    }

    #[test]
    fn every_kind_of_block_keeps_its_bytes() {
        let source = "---\ntitle: A\n---\n# One *two* `3`\n\npara\nmore\n\n- a\n  - b\n\n    c\n- d\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n```c\nint a;\n```\n\n> quote\n\n    indented\n";
        let expect = [
            (BlockKind::Heading, "# One *two* `3`"),
            (BlockKind::Paragraph, "para\nmore"),
            (BlockKind::ListItem, "- a"),
            (BlockKind::ListItem, "  - b"),
            (BlockKind::ListItem, "    c"),
            (BlockKind::ListItem, "- d"),
            (BlockKind::Table, "| x | y |\n|---|---|\n| 1 | 2 |"),
            (BlockKind::Code, "```c\nint a;\n```"),
            (BlockKind::Paragraph, "> quote"),
            (BlockKind::Code, "    indented"),
        ];
        let got = pieces(source);
        let got: Vec<_> = got.iter().map(|(k, t)| (*k, t.as_str())).collect();
        assert_eq!(got, expect);
        let document = parse(source);
        assert_eq!(document.headings, "One two 3");
        assert_eq!(&source[document.front_matter], "title: A\n");
    }

    #[test]
    fn pathological_input_stays_linear() {
        for unit in ["[", "> ", "- ", "*a_ ", "`", "![[]()", "<", "\n- ", "| "] {
            let source = unit.repeat((1 << 20) / unit.len());
            let started = std::time::Instant::now();
            parse(&source);
            assert!(started.elapsed().as_secs() < 20, "{unit:?}");
        }
    }
}
