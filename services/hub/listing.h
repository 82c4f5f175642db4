// The answers of a hub's API, which are not to be trusted.
#ifndef BRAID_SERVICES_HUB_LISTING_H_
#define BRAID_SERVICES_HUB_LISTING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/hub/hub_client.h"

namespace braid::services::hub {

// `sha` of an answer about a revision. DATA_LOSS if that is no commit.
absl::StatusOr<std::string> ParseCommit(const std::string& json);

// Appends the files of one page of a listing that stand at the top. DATA_LOSS
// naming the entry that is malformed.
absl::Status ParseListing(const std::string& json, std::vector<HubFile>* files);

// The query of the page that a `Link` header calls next, "" for none. Only the
// query is used: the listing stays where it was asked for.
std::string NextPageQuery(absl::string_view link);

}  // namespace braid::services::hub

#endif  // BRAID_SERVICES_HUB_LISTING_H_
