#include "retrieval/ingest/formats/odp_parser.h"

#include <memory>

#include "retrieval/ingest/formats/ooxml.h"
#include "retrieval/ingest/formats/open_document.h"
#include "retrieval/ingest/formats/slide_text.h"

namespace braid::retrieval {
namespace {

// The slide that is being read.
struct Slide {
  Slide(absl::string_view name, absl::string_view source)
      : text(name, source), content(text.body()) {}

  SlideText text;
  OpenDocumentHandler content;
  bool has_title = false;
};

class PresentationHandler : public XmlHandler {
 public:
  PresentationHandler(absl::string_view name, absl::string_view source,
                      DocumentBuilder* builder)
      : name_(name), source_(source), builder_(builder) {}

  void Start(const XmlElement& element) override {
    ++depth_;
    if (left_out_at_ > 0) return;
    const absl::string_view name = element.name();
    const absl::string_view kind = element.attribute("class");
    if (slide_ == nullptr) {
      if (name != "page") return;
      slide_ = std::make_unique<Slide>(name_, source_);
      slide_at_ = depth_;
    } else if (IsLeftOut(name, kind)) {
      left_out_at_ = depth_;
    } else {
      if (name == "notes" && notes_at_ == 0) {
        notes_at_ = depth_;
        slide_->content.set_text(slide_->text.notes());
      } else if (kind == "title" && notes_at_ == 0 && !slide_->has_title) {
        slide_->has_title = true;
        title_at_ = depth_;
        slide_->content.set_text(slide_->text.title());
      }
      slide_->content.Start(element);
    }
  }

  void End(absl::string_view name) override {
    if (left_out_at_ > 0) {
      if (left_out_at_ == depth_) left_out_at_ = 0;
    } else if (slide_ != nullptr && slide_at_ == depth_) {
      ++slides_;
      status_.Update(slide_->text.AddTo(slides_, builder_));
      slide_ = nullptr;
    } else if (slide_ != nullptr) {
      slide_->content.End(name);
      for (int* at : {&title_at_, &notes_at_}) {
        if (*at != depth_) continue;
        *at = 0;
        slide_->content.set_text(slide_->text.body());
      }
    }
    --depth_;
  }

  void Text(absl::string_view text) override {
    if (left_out_at_ == 0 && slide_ != nullptr) slide_->content.Text(text);
  }

  uint32_t slides() const { return slides_; }
  const absl::Status& status() const { return status_; }

 private:
  // What masters put on every slide, filled in.
  static bool IsLeftOut(absl::string_view name, absl::string_view kind) {
    return kind == "header" || kind == "footer" || kind == "date-time" ||
           kind == "page-number" || name == "page-number";
  }

  const absl::string_view name_;
  const absl::string_view source_;
  DocumentBuilder* const builder_;
  std::unique_ptr<Slide> slide_;  // null between slides
  // Depth of the element that is open, and where these began; 0: they did not.
  int depth_ = 0;
  int slide_at_ = 0;
  int title_at_ = 0;
  int notes_at_ = 0;
  int left_out_at_ = 0;
  uint32_t slides_ = 0;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<ParsedDocument> ParseOdp(absl::string_view name,
                                        absl::string_view source) {
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(name, source);
  if (!archive.ok()) return archive.status();
  DocumentBuilder builder(name, source);
  PresentationHandler handler(name, source, &builder);
  absl::Status status = ReadOpenDocument(name, &*archive, &handler);
  status.Update(handler.status());
  if (!status.ok()) return status;
  builder.SetMetadata("pages", static_cast<double>(handler.slides()));
  status = ReadProperties(name, &*archive, "meta.xml", &builder);
  if (!status.ok()) return status;
  return builder.Finish();
}

}  // namespace braid::retrieval
