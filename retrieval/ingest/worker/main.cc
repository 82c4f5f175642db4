// braid-parse: reads documents for `braid`, one after the other, in a sandbox.
// retrieval/ingest/worker/parser_pool.h starts and feeds it; it is the only
// program of Braid that links poppler (GPL).
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "retrieval/ingest/formats/pdf_parser.h"
#include "retrieval/ingest/parser.h"
#include "retrieval/ingest/worker/exit_status.h"
#include "retrieval/ingest/worker/message.h"
#include "retrieval/ingest/worker/sandbox.h"

namespace braid::retrieval {
namespace {

constexpr int kSocket = STDIN_FILENO;

// Memory of a document that was larger goes back to the system.
constexpr size_t kLargeDocument = 1 << 20;

// Returns false at the end.
bool ReadFully(char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t got = read(kSocket, bytes, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    size -= got;
  }
  return true;
}

bool WriteFully(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(kSocket, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(written);
  }
  return true;
}

absl::StatusOr<ParsedDocument> ParseCatching(const SourceFile& source) {
  try {
    return ParseSource(source, ParsePdf);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(SourceName(source), ": cannot be read: ", error.what()));
  }
}

int Serve() {
  while (true) {
    char header[kMessageHeaderBytes];
    if (!ReadFully(header, sizeof(header))) return kExitNoMoreWork;
    std::string reply;
    bool large = false;
    {
      std::string request(MessageSize({header, sizeof(header)}), '\0');
      if (!ReadFully(request.data(), request.size())) return kExitNoMoreWork;
      absl::StatusOr<SourceFile> source = DecodeRequest(request);
      if (!source.ok()) return kExitBadRequest;
      request = std::string();
      reply = EncodeReply(ParseCatching(*source));
      // Said in words, where the reader could only count bytes.
      const size_t source_bytes = source->content.size();
      if (reply.size() > OutputLimit(source_bytes)) {
        reply =
            EncodeReply(OutputLimitError(SourceName(*source), source_bytes));
      }
      large = source_bytes + reply.size() > kLargeDocument;
    }
    if (large) malloc_trim(0);
    if (!WriteFully(MessageHeader(reply.size())) || !WriteFully(reply)) {
      return kExitNoMoreWork;
    }
  }
}

int Main(int argc, char** argv) {
  int type = 0;
  socklen_t size = sizeof(type);
  size_t memory_bytes = 0;
  if (argc != 2 || !absl::SimpleAtoi(argv[1], &memory_bytes) ||
      getsockopt(kSocket, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    std::fputs(
        "braid-parse is started by braid, which gives it documents to "
        "read.\n",
        stderr);
    return kExitNotFromPool;
  }
  PreparePdfParser();
  // Nothing that the parent forgot to close.
  close_range(STDERR_FILENO + 1, ~0U, 0);
  if (absl::Status status = EnterSandbox(memory_bytes); !status.ok()) {
    std::fprintf(stderr, "braid-parse: %s\n",
                 std::string(status.message()).c_str());
    return kExitNoSandbox;
  }
  try {
    return Serve();
  } catch (const std::bad_alloc&) {
    return kExitOutOfMemory;
  }
}

}  // namespace
}  // namespace braid::retrieval

int main(int argc, char** argv) {
  // No destructors of libraries: they may rely on what the sandbox took away.
  _exit(braid::retrieval::Main(argc, argv));
}
