// Who reads, and what a document lets them see.
//
// In a collection with CollectionConfig::document_access every document lists
// its readers by name. A reader goes by several names (its own, those of its
// groups, `*`) and sees the documents that list one of them; a document without
// readers is seen by those alone who see everything. What the names mean is the
// caller's business: here they are compared byte by byte.
#ifndef BRAID_RETRIEVAL_VIEWER_H_
#define BRAID_RETRIEVAL_VIEWER_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace braid::retrieval {

// As lists of readers are kept: sorted, each once.
inline std::vector<std::string> Normalized(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// Fails closed: one that was not told who reads goes by no name.
class Viewer {
 public:
  Viewer() = default;
  static Viewer All() {
    Viewer viewer;
    viewer.sees_all_ = true;
    return viewer;
  }
  static Viewer Named(std::vector<std::string> names) {
    Viewer viewer;
    viewer.names_ = Normalized(std::move(names));
    return viewer;
  }

  bool sees_all() const { return sees_all_; }
  // Sorted, each once.
  const std::vector<std::string>& names() const { return names_; }

  // Whether it sees a document with these readers, in a collection with
  // document_access.
  bool Sees(const std::vector<std::string>& readers) const {
    return sees_all_ || std::any_of(readers.begin(), readers.end(),
                                    [this](const std::string& reader) {
                                      return std::binary_search(
                                          names_.begin(), names_.end(), reader);
                                    });
  }

 private:
  bool sees_all_ = false;
  std::vector<std::string> names_;
};

}  // namespace braid::retrieval

#endif  // BRAID_RETRIEVAL_VIEWER_H_
