#include "retrieval/ingest/formats/diagram_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace braid::retrieval {

void DiagramReader::Start(const XmlElement& element) {
  const absl::string_view name = element.name();
  const absl::string_view type = element.attribute("type");
  in_text_ = name == "t" && in_paragraph_;
  if (name == "pt") {
    // The points of a drawn line are "pt" too, without an id.
    const absl::string_view id = element.attribute("modelId");
    if (id.empty()) return;
    in_paragraph_ = false;
    by_id_.emplace(id, points_.size());
    // The others are how these are shown and connected.
    points_.push_back({type.empty() || type == "node" || type == "asst", {}});
  } else if (name == "cxn" && (type.empty() || type == "parOf")) {
    Connection connection;
    connection.parent = std::string(element.attribute("srcId"));
    connection.child = std::string(element.attribute("destId"));
    if (!absl::SimpleAtoi(element.attribute("srcOrd"), &connection.order)) {
      connection.order = 0;
    }
    connections_.push_back(std::move(connection));
  } else if (name == "p" && !points_.empty()) {
    in_paragraph_ = true;
    points_.back().paragraphs.emplace_back();
  } else if (name == "br" && in_paragraph_) {
    points_.back().paragraphs.back() += '\n';
  }
}

void DiagramReader::End(absl::string_view name) {
  in_text_ = false;
  if (name == "p") in_paragraph_ = false;
}

void DiagramReader::Text(absl::string_view text) {
  if (in_text_) absl::StrAppend(&points_.back().paragraphs.back(), text);
}

void DiagramReader::AddTo(OfficeText* text) const {
  std::vector<std::vector<std::pair<int, size_t>>> children(points_.size());
  std::vector<bool> is_child(points_.size());
  for (const Connection& connection : connections_) {
    const auto parent = by_id_.find(connection.parent);
    const auto child = by_id_.find(connection.child);
    if (parent == by_id_.end() || child == by_id_.end()) continue;
    children[parent->second].emplace_back(connection.order, child->second);
    is_child[child->second] = true;
  }
  for (auto& of_one : children) std::sort(of_one.begin(), of_one.end());
  std::vector<bool> added(points_.size());
  auto add_tree = [&](size_t root) {
    std::vector<size_t> open = {root};
    while (!open.empty()) {
      const size_t index = open.back();
      open.pop_back();
      if (added[index]) continue;
      added[index] = true;
      const Point& point = points_[index];
      for (const std::string& paragraph : point.paragraphs) {
        if (!point.has_text) break;
        text->BeginParagraph();
        text->SetListItem();
        text->Text(paragraph);
        text->EndParagraph();
      }
      for (auto child = children[index].rbegin();
           child != children[index].rend(); ++child) {
        open.push_back(child->second);
      }
    }
  };
  for (size_t i = 0; i < points_.size(); ++i) {
    if (!is_child[i]) add_tree(i);
  }
  // What goes in circles belongs to no root.
  for (size_t i = 0; i < points_.size(); ++i) add_tree(i);
}

}  // namespace braid::retrieval
