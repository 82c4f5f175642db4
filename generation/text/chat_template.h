// Chat templates (Jinja), as Hugging Face runs them.
#ifndef BRAID_GENERATION_TEXT_CHAT_TEMPLATE_H_
#define BRAID_GENERATION_TEXT_CHAT_TEMPLATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "generation/text/tokenizer.h"

namespace braid::model {

struct ChatMessage {
  std::string role;  // letters, digits, `_` and `-`
  std::string content;
};

struct ChatRenderOptions {
  // Open the assistant's turn, so that the model answers.
  bool add_generation_prompt = true;
  // What `strftime_now` shows, in UTC.
  absl::Time now = absl::Now();
};

// Runs in a sandbox: no files, no network, a bounded number of instructions and
// a bounded output. (The length of a single text inside the template is not
// bounded: a template belongs to the model, which the operator chose.)
// Immutable after loading; safe to share between threads.
class ChatTemplate {
 public:
  // `chat_template.jinja`, or the `chat_template` of `tokenizer_config.json` (a
  // text, or a list of which "default" is taken). A directory without either
  // gets a plain one: a labelled line for each turn. Special tokens come from
  // tokenizer_config.json. INVALID_ARGUMENT naming the file if it is malformed.
  static absl::StatusOr<std::unique_ptr<ChatTemplate>> FromDirectory(
      const std::string& directory);
  // `globals_json`: a JSON object of variables, such as {"bos_token": "<s>"}.
  static absl::StatusOr<std::unique_ptr<ChatTemplate>> FromSource(
      absl::string_view source, absl::string_view globals_json);
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // Whether the directory had a template of its own.
  bool from_model() const { return from_model_; }

  // The text as `apply_chat_template(tokenize=False)` gives it. To look at, not
  // to tokenise: in it, control tokens of the template and of a message's
  // content look the same.
  absl::StatusOr<std::string> Render(absl::Span<const ChatMessage> messages,
                                     const ChatRenderOptions& options) const;

  // Renders and tokenises. Only the template can give control tokens: such text
  // in a message's content is encoded as the ordinary characters that it is.
  // INVALID_ARGUMENT if the template refuses the messages (`raise_exception`)
  // or runs over a limit.
  absl::StatusOr<std::vector<int32_t>> Encode(
      const Tokenizer& tokenizer, absl::Span<const ChatMessage> messages,
      const ChatRenderOptions& options) const;

 private:
  ChatTemplate(void* handle, bool from_model)
      : handle_(handle), from_model_(from_model) {}
  void* handle_;  // owned, from the Rust side
  bool from_model_;
};

}  // namespace braid::model

#endif  // BRAID_GENERATION_TEXT_CHAT_TEMPLATE_H_
