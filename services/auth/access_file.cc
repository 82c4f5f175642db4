#include "services/auth/access_file.h"

#include <array>
#include <initializer_list>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/text.h"
#include "toml++/toml.h"

namespace braid::services::auth {
namespace {

constexpr size_t kDigestDigits = 64;
constexpr size_t kMaxNameBytes = 256;

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  absl::StatusOr<AccessPolicy> Read(const toml::table& root) {
    absl::Status status = CheckKeys(root, {"key", "certificate", "group"});
    // Groups first: the others name them.
    if (status.ok()) status = ReadAll(root, "group", &Reader::ReadGroup);
    if (status.ok()) status = ReadAll(root, "key", &Reader::ReadKey);
    if (status.ok()) {
      status = ReadAll(root, "certificate", &Reader::ReadCertificate);
    }
    if (!status.ok()) return status;
    return std::move(policy_);
  }

 private:
  absl::Status At(const toml::node& node, absl::string_view message) const {
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ":", node.source().begin.line, ": ", message));
  }

  absl::Status CheckKeys(const toml::table& table,
                         std::initializer_list<absl::string_view> known) const {
    for (auto&& [key, node] : table) {
      const absl::string_view name(key.str().data(), key.str().size());
      if (!absl::c_linear_search(known, name)) {
        return At(node, absl::StrCat("unknown key `", name, "`"));
      }
    }
    return absl::OkStatus();
  }

  using ReadOne = absl::Status (Reader::*)(const toml::table& table);
  absl::Status ReadAll(const toml::table& root, const char* name,
                       ReadOne read) {
    const toml::node* node = root.get(name);
    if (node == nullptr) return absl::OkStatus();
    const toml::array* array = node->as_array();
    if (array == nullptr) {
      return At(*node, absl::StrCat("write [[", name, "]]"));
    }
    for (const toml::node& element : *array) {
      const toml::table* table = element.as_table();
      if (table == nullptr) {
        return At(element, absl::StrCat("`", name, "` must be a table"));
      }
      const absl::Status status = (this->*read)(*table);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Name(const toml::table& table) const {
    const auto* name = table.get_as<std::string>("name");
    if (name == nullptr) return At(table, "`name` must be there, a string");
    const std::string& text = name->get();
    if (text.empty() || text.size() > kMaxNameBytes || !IsUtf8(text) ||
        HasControlCharacters(text)) {
      return At(*name, absl::StrCat("`name` must be 1 to ", kMaxNameBytes,
                                    " bytes of printable text"));
    }
    return text;
  }

  absl::StatusOr<std::vector<std::string>> Strings(
      const toml::node& node, absl::string_view what) const {
    const toml::array* array = node.as_array();
    std::vector<std::string> strings;
    if (array != nullptr) {
      for (const toml::node& element : *array) {
        const auto* text = element.as_string();
        if (text == nullptr) break;
        strings.push_back(text->get());
      }
    }
    if (array == nullptr || strings.size() != array->size()) {
      return At(node, absl::StrCat("`", what, "` must be a list of strings"));
    }
    return strings;
  }

  absl::Status ReadGrant(const toml::table& table,
                         std::vector<Grant>* grants) const {
    absl::Status status = CheckKeys(table, {"role", "collections"});
    if (!status.ok()) return status;
    const auto* role = table.get_as<std::string>("role");
    const std::optional<Role> parsed =
        role == nullptr ? std::nullopt : ParseRole(role->get());
    if (!parsed.has_value()) {
      return At(table, "`role` must be one of reader, writer, admin");
    }
    const toml::node* collections = table.get("collections");
    if (collections == nullptr) {
      return At(table, "a grant needs `collections`");
    }
    const auto patterns = Strings(*collections, "collections");
    if (!patterns.ok()) return patterns.status();
    for (const std::string& pattern : *patterns) {
      if (!IsCollectionPattern(pattern)) {
        return At(*collections,
                  "a collection is its id, `*`, or a prefix and `*`");
      }
      grants->push_back({*parsed, pattern});
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<Grant>> Grants(const toml::table& table) const {
    std::vector<Grant> grants;
    const toml::node* node = table.get("grants");
    if (node == nullptr) return grants;
    const toml::array* array = node->as_array();
    if (array == nullptr) return At(*node, "`grants` must be a list of tables");
    for (const toml::node& element : *array) {
      const toml::table* grant = element.as_table();
      if (grant == nullptr) {
        return At(element, "`grants` must be a list of tables");
      }
      const absl::Status status = ReadGrant(*grant, &grants);
      if (!status.ok()) return status;
    }
    return grants;
  }

  // With its own grants, its groups, and their grants.
  absl::StatusOr<Principal> ReadPrincipal(std::string name,
                                          const toml::table& table) const {
    absl::StatusOr<std::vector<Grant>> grants = Grants(table);
    if (!grants.ok()) return grants.status();
    Principal principal{std::move(name), *std::move(grants)};
    const toml::node* node = table.get("groups");
    if (node == nullptr) return principal;
    auto groups = Strings(*node, "groups");
    if (!groups.ok()) return groups.status();
    for (const std::string& group : *groups) {
      const auto known = policy_.groups.find(group);
      if (known == policy_.groups.end()) {
        return At(*node, absl::StrCat("there is no group `", group, "`"));
      }
      principal.grants.insert(principal.grants.end(), known->second.begin(),
                              known->second.end());
    }
    principal.groups = *std::move(groups);
    return principal;
  }

  absl::Status ReadGroup(const toml::table& table) {
    absl::Status status = CheckKeys(table, {"name", "grants"});
    if (!status.ok()) return status;
    const auto name = Name(table);
    if (!name.ok()) return name.status();
    auto grants = Grants(table);
    if (!grants.ok()) return grants.status();
    if (!policy_.groups.emplace(*name, *std::move(grants)).second) {
      return At(table, absl::StrCat("the group `", *name, "` is there twice"));
    }
    return absl::OkStatus();
  }

  absl::Status ReadKey(const toml::table& table) {
    absl::Status status =
        CheckKeys(table, {"name", "sha256", "expires", "groups", "grants"});
    if (!status.ok()) return status;
    const auto name = Name(table);
    if (!name.ok()) return name.status();
    auto principal = ReadPrincipal(absl::StrCat("key:", *name), table);
    if (!principal.ok()) return principal.status();
    const auto* digest = table.get_as<std::string>("sha256");
    if (digest == nullptr || digest->get().size() != kDigestDigits ||
        !absl::c_all_of(digest->get(), [](unsigned char c) {
          return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
        })) {
      return At(table, "`sha256` must be 64 lower-case hex digits");
    }
    KnownKey key;
    key.principal = *std::move(principal);
    if (const toml::node* expires = table.get("expires"); expires != nullptr) {
      const absl::StatusOr<absl::Time> time = Time(*expires);
      if (!time.ok()) return time.status();
      key.expires = *time;
    }
    if (!key_names_.insert(*name).second) {
      return At(table, absl::StrCat("the key `", *name, "` is there twice"));
    }
    if (!policy_.keys.emplace(digest->get(), std::move(key)).second) {
      return At(*digest, "another key has the same `sha256`");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<absl::Time> Time(const toml::node& node) const {
    const auto* value = node.as_date_time();
    if (value == nullptr || !value->get().offset.has_value()) {
      return At(node, "`expires` must be a time such as 2027-01-31T12:00:00Z");
    }
    const toml::date_time& t = value->get();
    const absl::CivilSecond civil(t.date.year, t.date.month, t.date.day,
                                  t.time.hour, t.time.minute, t.time.second);
    return absl::FromCivil(civil, absl::UTCTimeZone()) -
           absl::Minutes(t.offset->minutes);
  }

  absl::Status ReadCertificate(const toml::table& table) {
    absl::Status status = CheckKeys(table, {"name", "groups", "grants"});
    if (!status.ok()) return status;
    const auto name = Name(table);
    if (!name.ok()) return name.status();
    auto principal = ReadPrincipal(absl::StrCat("certificate:", *name), table);
    if (!principal.ok()) return principal.status();
    if (!policy_.certificates.emplace(*name, *std::move(principal)).second) {
      return At(table,
                absl::StrCat("the certificate `", *name, "` is there twice"));
    }
    return absl::OkStatus();
  }

  const std::string& file_;
  AccessPolicy policy_;
  absl::flat_hash_set<std::string> key_names_;
};

}  // namespace

absl::StatusOr<AccessPolicy> ParseAccess(const std::string& content,
                                         const std::string& file) {
  toml::table root;
  try {
    root = toml::parse(std::string_view(content), file);
  } catch (const toml::parse_error& error) {
    const std::string_view why = error.description();
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", error.source().begin.line, ": ",
                     absl::string_view(why.data(), why.size())));
  }
  return Reader(file).Read(root);
}

}  // namespace braid::services::auth
