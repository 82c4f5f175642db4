#include "generation/text/chat_template.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "generation/checkpoint/json_file.h"
#include "generation/text/ffi/text_ffi.h"
#include "generation/text/ffi_result.h"

namespace braid::model {
namespace {

constexpr uint64_t kMaxTemplateBytes = 1 << 20;
constexpr uint64_t kMaxConfigBytes = 64'000'000;

// For models that were never given a chat format.
constexpr absl::string_view kPlainTemplate =
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ message.role | capitalize }}: {{ message.content | trim }}\n\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}";

BraidTextTemplate* Handle(void* handle) {
  return static_cast<BraidTextTemplate*>(handle);
}

// Invalid UTF-8 is refused here, where it can be named.
absl::StatusOr<std::string> MessagesJson(
    absl::Span<const ChatMessage> messages) {
  std::string json = "[";
  for (size_t i = 0; i < messages.size(); ++i) {
    // In the order of the reference: a template may print a message as it is.
    const nlohmann::ordered_json message = {{"role", messages[i].role},
                                            {"content", messages[i].content}};
    // `dump` throws on invalid UTF-8 unless told to replace it; compare.
    const std::string text =
        message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    const auto back = nlohmann::ordered_json::parse(text, nullptr, false);
    if (back != message) {
      return absl::InvalidArgumentError(
          absl::StrCat("messages[", i, "]: not UTF-8"));
    }
    absl::StrAppend(&json, i == 0 ? "" : ",", text);
  }
  json += "]";
  return json;
}

// A token is written as its text, or as an object with its text in `content`.
bool TokenText(const nlohmann::json& value, std::string* text) {
  const nlohmann::json* token = &value;
  if (value.is_object() && value.contains("content")) token = &value["content"];
  if (!token->is_string()) return false;
  *text = token->get<std::string>();
  return true;
}

// The template of the name "default" in a list of named ones.
const nlohmann::json* DefaultOf(const nlohmann::json& templates) {
  for (const nlohmann::json& entry : templates) {
    if (entry.is_object() &&
        entry.value("name", nlohmann::json()) == "default" &&
        entry.contains("template") && entry["template"].is_string()) {
      return &entry["template"];
    }
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChatTemplate>> ChatTemplate::FromSource(
    absl::string_view source, absl::string_view globals_json) {
  BraidTextTemplate* handle = nullptr;
  BraidTextBuffer error{};
  const int code = braid_text_template_open(
      FfiBytes(source), source.size(), FfiBytes(globals_json),
      globals_json.size(), &handle, &error);
  if (code != 0) return FfiError(code, error, "chat template");
  return std::unique_ptr<ChatTemplate>(new ChatTemplate(handle, true));
}

absl::StatusOr<std::unique_ptr<ChatTemplate>> ChatTemplate::FromDirectory(
    const std::string& directory) {
  const std::string config_path =
      absl::StrCat(directory, "/tokenizer_config.json");
  const std::string jinja_path =
      absl::StrCat(directory, "/chat_template.jinja");

  nlohmann::json config = nlohmann::json::object();
  absl::StatusOr<nlohmann::json> read =
      ReadJsonObject(config_path, kMaxConfigBytes);
  if (read.ok()) {
    config = *std::move(read);
  } else if (!absl::IsNotFound(read.status())) {
    return read.status();
  }
  nlohmann::json globals = {{"bos_token", ""}, {"eos_token", ""}};
  for (const char* name : {"bos_token", "eos_token", "pad_token", "unk_token",
                           "sep_token", "cls_token", "mask_token"}) {
    std::string text;
    if (config.contains(name) && TokenText(config[name], &text)) {
      globals[name] = text;
    }
  }

  std::string source(kPlainTemplate);
  std::string origin = "the plain template";
  bool from_model = true;
  absl::StatusOr<std::string> jinja =
      ReadSmallFile(jinja_path, kMaxTemplateBytes);
  if (jinja.ok()) {
    source = *std::move(jinja);
    origin = jinja_path;
  } else if (!absl::IsNotFound(jinja.status())) {
    return jinja.status();
  } else if (config.contains("chat_template") &&
             !config["chat_template"].is_null()) {
    const nlohmann::json& value = config["chat_template"];
    const nlohmann::json* text = value.is_array() ? DefaultOf(value) : &value;
    if (text == nullptr || !text->is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(
          config_path,
          ": chat_template: neither a text nor a list with a \"default\""));
    }
    source = text->get<std::string>();
    origin = absl::StrCat(config_path, ": chat_template");
  } else {
    from_model = false;
  }
  absl::StatusOr<std::unique_ptr<ChatTemplate>> chat_template =
      FromSource(source, globals.dump());
  if (!chat_template.ok()) {
    return absl::Status(
        chat_template.status().code(),
        absl::StrCat(origin, ": ", chat_template.status().message()));
  }
  (*chat_template)->from_model_ = from_model;
  return chat_template;
}

ChatTemplate::~ChatTemplate() { braid_text_template_free(Handle(handle_)); }

absl::StatusOr<std::string> ChatTemplate::Render(
    absl::Span<const ChatMessage> messages,
    const ChatRenderOptions& options) const {
  absl::StatusOr<std::string> json = MessagesJson(messages);
  if (!json.ok()) return json.status();
  BraidTextBuffer text{};
  BraidTextBuffer error{};
  const int code = braid_text_template_render(
      Handle(handle_), FfiBytes(*json), json->size(),
      options.add_generation_prompt, absl::ToUnixSeconds(options.now), &text,
      &error);
  if (code != 0) return FfiError(code, error, "chat template");
  return TakeFfiBuffer(text);
}

absl::StatusOr<std::vector<int32_t>> ChatTemplate::Encode(
    const Tokenizer& tokenizer, absl::Span<const ChatMessage> messages,
    const ChatRenderOptions& options) const {
  absl::StatusOr<std::string> json = MessagesJson(messages);
  if (!json.ok()) return json.status();
  BraidTextTokens tokens{};
  BraidTextBuffer error{};
  const int code = braid_text_template_encode(
      Handle(handle_),
      static_cast<const BraidTextTokenizer*>(tokenizer.handle()),
      FfiBytes(*json), json->size(), options.add_generation_prompt,
      absl::ToUnixSeconds(options.now), &tokens, &error);
  if (code != 0) return FfiError(code, error, "chat template");
  std::vector<int32_t> ids(tokens.ids, tokens.ids + tokens.len);
  braid_text_tokens_free(tokens);
  return ids;
}

}  // namespace braid::model
