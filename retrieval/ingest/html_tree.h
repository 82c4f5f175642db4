// gumbo's parse tree under limits of nesting, memory and time.
#ifndef BRAID_RETRIEVAL_INGEST_HTML_TREE_H_
#define BRAID_RETRIEVAL_INGEST_HTML_TREE_H_

#include <gumbo.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace braid::retrieval {

class HtmlArena;

// Owns the tree. Nodes point into the HTML, which must outlive it. Everything
// lies in one arena, so freeing never walks (and never recurses over) the tree.
class HtmlTree {
 public:
  // RESOURCE_EXHAUSTED starting with `name` where the markup nests deeper than
  // kMaxDepth, or the tree needs more memory or processor time than any page
  // for people does (unclosed formatting tags can square the number of nodes).
  static absl::StatusOr<HtmlTree> Parse(absl::string_view name,
                                        absl::string_view html);
  HtmlTree(HtmlTree&&) noexcept;
  HtmlTree& operator=(HtmlTree&&) noexcept;
  ~HtmlTree();

  static constexpr size_t kMaxDepth = 5000;

  const GumboNode* root() const { return root_; }

 private:
  HtmlTree(std::unique_ptr<HtmlArena> arena, const GumboNode* root);

  std::unique_ptr<HtmlArena> arena_;
  const GumboNode* root_;
};

// Most elements that are open at once, by a scan over the tags alone: elements
// whose end tag may be left out (p, li, td ...) are not counted, nor are tags
// in comments and scripts. Linear.
size_t EstimateHtmlDepth(absl::string_view html);

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_INGEST_HTML_TREE_H_
