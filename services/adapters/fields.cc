#include "services/adapters/fields.h"

#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/descriptor.h"
#include "services/text.h"

namespace braid::services::adapters {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

const FieldDescriptor* Find(const Message& message, absl::string_view name) {
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (name == field->name() || name == field->json_name()) return field;
  }
  return nullptr;
}

absl::Status NotA(absl::string_view kind) {
  return absl::InvalidArgumentError(absl::StrCat("must be ", kind));
}

template <typename Value>
using Setter = void (Reflection::*)(Message*, const FieldDescriptor*,
                                    Value) const;

template <typename Value>
absl::Status Store(Message* message, const FieldDescriptor* field, Value value,
                   Setter<Value> set, Setter<Value> add) {
  (message->GetReflection()->*(field->is_repeated() ? add : set))(message,
                                                                  field, value);
  return absl::OkStatus();
}

template <typename Value>
absl::Status StoreInteger(Message* message, const FieldDescriptor* field,
                          absl::string_view text, Setter<Value> set,
                          Setter<Value> add) {
  Value value = 0;
  if (!absl::SimpleAtoi(text, &value)) return NotA("an integer in range");
  return Store(message, field, value, set, add);
}

absl::Status StoreEnum(Message* message, const FieldDescriptor* field,
                       absl::string_view text) {
  const auto* type = field->enum_type();
  const auto* value = type->FindValueByName(std::string(text));
  int number = 0;
  if (value == nullptr && absl::SimpleAtoi(text, &number)) {
    value = type->FindValueByNumber(number);
  }
  if (value == nullptr) return NotA(absl::StrCat("a ", type->name()));
  return Store(message, field, value, &Reflection::SetEnum,
               &Reflection::AddEnum);
}

absl::Status StoreText(Message* message, const FieldDescriptor* field,
                       absl::string_view text) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return StoreInteger<int32_t>(message, field, text, &Reflection::SetInt32,
                                   &Reflection::AddInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return StoreInteger<int64_t>(message, field, text, &Reflection::SetInt64,
                                   &Reflection::AddInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return StoreInteger<uint32_t>(
          message, field, text, &Reflection::SetUInt32, &Reflection::AddUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return StoreInteger<uint64_t>(
          message, field, text, &Reflection::SetUInt64, &Reflection::AddUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      if (!absl::SimpleAtod(text, &value)) return NotA("a number");
      return Store(message, field, value, &Reflection::SetDouble,
                   &Reflection::AddDouble);
    }
    case FieldDescriptor::CPPTYPE_FLOAT: {
      float value = 0;
      if (!absl::SimpleAtof(text, &value)) return NotA("a number");
      return Store(message, field, value, &Reflection::SetFloat,
                   &Reflection::AddFloat);
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") return NotA("true or false");
      return Store(message, field, text == "true", &Reflection::SetBool,
                   &Reflection::AddBool);
    case FieldDescriptor::CPPTYPE_ENUM:
      return StoreEnum(message, field, text);
    case FieldDescriptor::CPPTYPE_STRING:
      if (field->type() != FieldDescriptor::TYPE_STRING) break;
      if (!IsUtf8(text)) return NotA("UTF-8");
      if (field->is_repeated()) {
        message->GetReflection()->AddString(message, field, std::string(text));
      } else {
        message->GetReflection()->SetString(message, field, std::string(text));
      }
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return absl::InvalidArgumentError("cannot be given in a URL");
}

}  // namespace

absl::Status SetField(absl::string_view path, absl::string_view text,
                      Message* message) {
  const std::vector<absl::string_view> names = absl::StrSplit(path, '.');
  for (size_t i = 0; i < names.size(); ++i) {
    const FieldDescriptor* field = Find(*message, names[i]);
    if (field == nullptr) return absl::InvalidArgumentError("unknown field");
    if (i + 1 == names.size()) return StoreText(message, field, text);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
        field->is_repeated()) {
      return absl::InvalidArgumentError("unknown field");
    }
    message = message->GetReflection()->MutableMessage(message, field);
  }
  return absl::OkStatus();
}

}  // namespace braid::services::adapters
