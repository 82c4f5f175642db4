#include "retrieval/ingest/html_parser.h"

#include <gumbo.h>

#include <algorithm>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "retrieval/ingest/charset.h"
#include "retrieval/ingest/html_text.h"
#include "retrieval/ingest/html_tree.h"
#include "retrieval/ingest/utf8.h"

namespace braid::retrieval {
namespace {

bool IsElement(const GumboNode* node) {
  return node->type == GUMBO_NODE_ELEMENT;
}

absl::string_view Attribute(const GumboNode* node, const char* name) {
  const GumboAttribute* attribute =
      gumbo_get_attribute(&node->v.element.attributes, name);
  return attribute == nullptr ? absl::string_view() : attribute->value;
}

// Classes of navigation that DocBook and common generators write.
bool IsNavigationClass(absl::string_view classes) {
  for (absl::string_view name :
       absl::StrSplit(classes, absl::ByAnyChar(" \t\n\r\f"))) {
    if (name == "navheader" || name == "navfooter" || name == "sphinxsidebar" ||
        name == "breadcrumbs") {
      return true;
    }
  }
  return false;
}

// A table of contents repeats the headings of other pages.
bool IsContents(const GumboNode* node) {
  for (absl::string_view name :
       absl::StrSplit(Attribute(node, "class"), absl::ByAnyChar(" \t\n\r\f"))) {
    if (name == "toc") return true;
  }
  return false;
}

bool IsHidden(const GumboNode* node) {
  const GumboVector* attributes = &node->v.element.attributes;
  if (attributes->length == 0) return false;
  if (gumbo_get_attribute(attributes, "hidden") != nullptr ||
      absl::EqualsIgnoreCase(Attribute(node, "aria-hidden"), "true") ||
      absl::EqualsIgnoreCase(Attribute(node, "role"), "navigation") ||
      IsNavigationClass(Attribute(node, "class"))) {
    return true;
  }
  std::string style = absl::AsciiStrToLower(Attribute(node, "style"));
  style.erase(std::remove(style.begin(), style.end(), ' '), style.end());
  return absl::StrContains(style, "display:none") ||
         absl::StrContains(style, "visibility:hidden");
}

bool IsSkipped(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_SCRIPT:
    case GUMBO_TAG_STYLE:
    case GUMBO_TAG_NAV:
    case GUMBO_TAG_FOOTER:
    case GUMBO_TAG_ASIDE:
    case GUMBO_TAG_TEMPLATE:
    case GUMBO_TAG_NOSCRIPT:
    case GUMBO_TAG_NOFRAMES:
    case GUMBO_TAG_HEAD:
    case GUMBO_TAG_IFRAME:
    case GUMBO_TAG_OBJECT:
    case GUMBO_TAG_SVG:
    case GUMBO_TAG_CANVAS:
    case GUMBO_TAG_AUDIO:
    case GUMBO_TAG_VIDEO:
    case GUMBO_TAG_SELECT:
    case GUMBO_TAG_DATALIST:
    case GUMBO_TAG_TEXTAREA:
    case GUMBO_TAG_BUTTON:
    case GUMBO_TAG_TITLE:
      return true;
    default:
      return false;
  }
}

bool IsBlockElement(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_P:
    case GUMBO_TAG_DIV:
    case GUMBO_TAG_SECTION:
    case GUMBO_TAG_ARTICLE:
    case GUMBO_TAG_MAIN:
    case GUMBO_TAG_HEADER:
    case GUMBO_TAG_HGROUP:
    case GUMBO_TAG_BLOCKQUOTE:
    case GUMBO_TAG_FIGURE:
    case GUMBO_TAG_FIGCAPTION:
    case GUMBO_TAG_ADDRESS:
    case GUMBO_TAG_CENTER:
    case GUMBO_TAG_FIELDSET:
    case GUMBO_TAG_LEGEND:
    case GUMBO_TAG_FORM:
    case GUMBO_TAG_DETAILS:
    case GUMBO_TAG_SUMMARY:
    case GUMBO_TAG_UL:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_DL:
    case GUMBO_TAG_DIR:
    case GUMBO_TAG_MENU:
    case GUMBO_TAG_BODY:
    case GUMBO_TAG_TABLE:
    case GUMBO_TAG_CAPTION:
    case GUMBO_TAG_TR:
    case GUMBO_TAG_TD:
    case GUMBO_TAG_TH:
      return true;
    default:
      return false;
  }
}

int HeadingLevel(GumboTag tag) {
  return tag >= GUMBO_TAG_H1 && tag <= GUMBO_TAG_H6 ? tag - GUMBO_TAG_H1 + 1
                                                    : 0;
}

const GumboVector* Children(const GumboNode* node) {
  return &node->v.element.children;
}

// Tables that only place things on the page: they hold headings, other tables
// or preformatted text, or say so themselves. Iterative, linear.
std::unordered_set<const GumboNode*> FindLayoutTables(const GumboNode* root) {
  std::unordered_set<const GumboNode*> layout;
  // A node and the table around it.
  std::vector<std::pair<const GumboNode*, const GumboNode*>> stack = {
      {root, nullptr}};
  while (!stack.empty()) {
    auto [node, table] = stack.back();
    stack.pop_back();
    const GumboTag tag = node->v.element.tag;
    if (table != nullptr && (tag == GUMBO_TAG_TABLE || HeadingLevel(tag) > 0)) {
      layout.insert(table);
    }
    if (tag == GUMBO_TAG_TABLE) {
      table = node;
      if (absl::EqualsIgnoreCase(Attribute(node, "role"), "presentation")) {
        layout.insert(table);
      }
    }
    const GumboVector* children = Children(node);
    for (unsigned i = 0; i < children->length; ++i) {
      auto* child = static_cast<const GumboNode*>(children->data[i]);
      if (IsElement(child)) stack.emplace_back(child, table);
    }
  }
  return layout;
}

// Words with one space between them; no-break spaces count as spaces.
std::string CollapseSpace(absl::string_view text) {
  const std::string plain = absl::StrReplaceAll(text, {{"\u00A0", " "}});
  return absl::StrJoin(
      absl::StrSplit(plain, absl::ByAnyChar(" \t\n\r\f\v"), absl::SkipEmpty()),
      " ");
}

// The text of the first <title> in <head>.
std::string FindTitle(const GumboNode* root) {
  const GumboVector* children = Children(root);
  for (unsigned i = 0; i < children->length; ++i) {
    auto* head = static_cast<const GumboNode*>(children->data[i]);
    if (!IsElement(head) || head->v.element.tag != GUMBO_TAG_HEAD) continue;
    for (unsigned k = 0; k < Children(head)->length; ++k) {
      auto* node = static_cast<const GumboNode*>(Children(head)->data[k]);
      if (!IsElement(node) || node->v.element.tag != GUMBO_TAG_TITLE) continue;
      if (Children(node)->length == 0) return "";
      auto* text = static_cast<const GumboNode*>(Children(node)->data[0]);
      return text->type == GUMBO_NODE_TEXT ? CollapseSpace(text->v.text.text)
                                           : "";
    }
  }
  return "";
}

// Walks the tree in document order without recursion.
class Extractor {
 public:
  Extractor(absl::string_view html, const GumboNode* root, bool keep_contents)
      : html_(html),
        layout_tables_(FindLayoutTables(root)),
        keep_contents_(keep_contents) {
    Frame frame;
    frame.node = root;
    stack_.push_back(frame);
  }

  void Run() {
    while (!stack_.empty()) {
      Frame& top = stack_.back();
      const GumboVector* children = Children(top.node);
      if (top.next_child == children->length) {
        const Frame done = top;
        stack_.pop_back();
        Leave(done);
        continue;
      }
      auto* child =
          static_cast<const GumboNode*>(children->data[top.next_child++]);
      switch (child->type) {
        case GUMBO_NODE_TEXT:
        case GUMBO_NODE_CDATA:
          Text(child, top.pre);
          break;
        case GUMBO_NODE_WHITESPACE:
          if (top.pre) {
            Text(child, true);
          } else {
            text_.Space();
          }
          break;
        case GUMBO_NODE_ELEMENT:
          Enter(child, top);
          break;
        default:
          break;
      }
    }
  }

  HtmlText& text() { return text_; }

 private:
  // An open element, and what holds inside it.
  struct Frame {
    const GumboNode* node = nullptr;
    unsigned next_child = 0;
    bool pre = false;         // white space counts
    bool flat = false;        // in a heading, cell or <pre>: no blocks inside
    bool in_list = false;     // in a list item or a definition
    bool in_section = false;  // in <main>, <article> or <section>
    bool in_table = false;    // in a table of data
  };

  BlockKind TextKind(const Frame& frame) const {
    return frame.in_list ? BlockKind::kListItem : BlockKind::kParagraph;
  }

  void Separate(const Frame& frame) {
    if (frame.pre) {
      text_.LineBreak();
    } else {
      text_.Space();
    }
  }

  void Text(const GumboNode* node, bool pre) {
    const GumboText& text = node->v.text;
    Append(text.text, text.original_text, text.start_pos.offset, pre);
  }

  void Append(const char* decoded, GumboStringPiece original, size_t offset,
              bool pre) {
    absl::string_view source;
    if (original.data >= html_.data() &&
        original.data <= html_.data() + html_.size()) {
      offset = original.data - html_.data();
      source = html_.substr(offset, original.length);
    } else {
      offset = std::min(offset, html_.size());
    }
    text_.Append(decoded, source, offset, pre);
  }

  // Enters an element: may push a frame (which invalidates `parent`).
  void Enter(const GumboNode* node, const Frame& parent) {
    const GumboElement& element = node->v.element;
    const GumboTag tag = element.tag;
    if (IsSkipped(tag) || IsHidden(node) ||
        (!keep_contents_ && IsContents(node)) ||
        (tag == GUMBO_TAG_HEADER && !parent.in_section)) {
      Separate(parent);
      return;
    }
    Frame frame = parent;
    frame.node = node;
    frame.next_child = 0;
    if (EnterTable(node, &frame) || EnterLeaf(node, frame)) {
      // Done there.
    } else if (frame.flat) {
      if (IsBlockElement(tag) || tag == GUMBO_TAG_LI || tag == GUMBO_TAG_DT ||
          tag == GUMBO_TAG_DD || tag == GUMBO_TAG_PRE) {
        Separate(frame);
      }
    } else if (const int level = HeadingLevel(tag); level > 0) {
      text_.BeginBlock(BlockKind::kHeading, level);
      frame.flat = true;
    } else if (tag == GUMBO_TAG_LI || tag == GUMBO_TAG_DT ||
               tag == GUMBO_TAG_DD) {
      frame.in_list = true;
      text_.BeginBlock(BlockKind::kListItem);
    } else if (tag == GUMBO_TAG_PRE || tag == GUMBO_TAG_LISTING ||
               tag == GUMBO_TAG_XMP) {
      text_.BeginBlock(BlockKind::kCode);
      frame.pre = frame.flat = true;
    } else if (IsBlockElement(tag)) {
      text_.BeginBlock(TextKind(frame));
      frame.in_section = frame.in_section || tag == GUMBO_TAG_MAIN ||
                         tag == GUMBO_TAG_ARTICLE || tag == GUMBO_TAG_SECTION;
    }
    stack_.push_back(frame);
  }

  // Elements of a table of data. Returns whether `node` is one.
  bool EnterTable(const GumboNode* node, Frame* frame) {
    const GumboTag tag = node->v.element.tag;
    if (tag == GUMBO_TAG_TABLE && !frame->flat) {
      frame->in_table = layout_tables_.count(node) == 0;
      if (!frame->in_table) return false;
      text_.BeginBlock(BlockKind::kTable);
      return true;
    }
    if (!frame->in_table || frame->flat) return false;
    switch (tag) {
      case GUMBO_TAG_TR:
        text_.EndRow();
        cells_in_row_ = 0;
        return true;
      case GUMBO_TAG_TD:
      case GUMBO_TAG_TH:
        if (cells_in_row_++ > 0) text_.Cell();
        frame->flat = true;
        return true;
      case GUMBO_TAG_CAPTION:
        frame->flat = true;
        return true;
      default:
        return false;
    }
  }

  // Elements without text inside.
  bool EnterLeaf(const GumboNode* node, const Frame& frame) {
    switch (node->v.element.tag) {
      case GUMBO_TAG_BR:
        if (frame.flat && !frame.pre) {
          text_.Space();
        } else {
          text_.LineBreak();
        }
        return true;
      case GUMBO_TAG_HR:
        if (!frame.flat) text_.EndBlock();
        return true;
      case GUMBO_TAG_IMG: {
        const GumboAttribute* alt =
            gumbo_get_attribute(&node->v.element.attributes, "alt");
        if (alt == nullptr || *alt->value == '\0') return true;
        GumboStringPiece original = alt->original_value;
        if (original.length >= 2 &&
            (original.data[0] == '"' || original.data[0] == '\'')) {
          ++original.data;
          original.length -= 2;
        }
        Append(alt->value, original, node->v.element.start_pos.offset, false);
        return true;
      }
      default:
        return false;
    }
  }

  void Leave(const Frame& frame) {
    const GumboTag tag = frame.node->v.element.tag;
    // What holds around the element is what decides how it ends.
    const bool flat_around = !stack_.empty() && stack_.back().flat;
    if (flat_around) {
      if (IsBlockElement(tag) || tag == GUMBO_TAG_LI) Separate(stack_.back());
    } else if (tag == GUMBO_TAG_DT) {
      text_.JoinNextBlock();
    } else if (frame.in_table && tag != GUMBO_TAG_TABLE) {
      if (tag == GUMBO_TAG_TR || tag == GUMBO_TAG_CAPTION) text_.EndRow();
    } else if (IsBlockElement(tag) || HeadingLevel(tag) > 0 ||
               tag == GUMBO_TAG_LI || tag == GUMBO_TAG_DD ||
               tag == GUMBO_TAG_PRE || tag == GUMBO_TAG_LISTING ||
               tag == GUMBO_TAG_XMP) {
      text_.EndBlock();
    }
  }

  absl::string_view html_;
  const std::unordered_set<const GumboNode*> layout_tables_;
  const bool keep_contents_;
  std::vector<Frame> stack_;
  HtmlText text_;
  int cells_in_row_ = 0;
};

}  // namespace

absl::StatusOr<ParsedDocument> ParseHtml(absl::string_view name,
                                         absl::string_view source) {
  absl::StatusOr<DecodedText> html = DecodedText::DecodeHtml(name, source);
  if (!html.ok()) return html.status();
  absl::StatusOr<HtmlTree> tree = HtmlTree::Parse(name, html->text());
  if (!tree.ok()) return tree.status();

  ParsedDocument document;
  document.title = FindTitle(tree->root());
  // Tables of contents are left out, unless the page is nothing else.
  for (bool keep_contents : {false, true}) {
    Extractor extractor(html->text(), tree->root(), keep_contents);
    extractor.Run();
    extractor.text().Finish(&document);
    if (std::any_of(document.blocks.begin(), document.blocks.end(),
                    [](const Block& block) {
                      return block.kind != BlockKind::kHeading;
                    })) {
      break;
    }
  }
  if (FindInvalidUtf8(document.text) != absl::string_view::npos) {
    return absl::InternalError(
        absl::StrCat(name, ": the text of the HTML is not UTF-8"));
  }
  for (SourceRun& run : document.source_map) {
    run.source = {html->SourceOffset(run.source.begin),
                  html->SourceOffset(run.source.end)};
  }
  for (Block& block : document.blocks) {
    block.source_range = MapToSource(document.source_map, block.text_range);
    block.heading = CollapseSpace(block.heading);
    if (document.title.empty()) document.title = block.heading;
  }
  return document;
}

}  // namespace braid::retrieval
