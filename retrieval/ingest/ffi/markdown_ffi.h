// C ABI of the crate braid-markdown. Included by markdown_parser.cc only.
//
// Functions that can fail return 0 (OK), 1 (invalid argument) or 2 (internal:
// a panic was caught) and set *error, where it is not null, to a message that
// braid_markdown_free_error frees. Thread-safe: a document is immutable.
#ifndef BRAID_RETRIEVAL_INGEST_FFI_MARKDOWN_FFI_H_
#define BRAID_RETRIEVAL_INGEST_FFI_MARKDOWN_FFI_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct BraidMarkdownDocument BraidMarkdownDocument;

enum {
  BRAID_MARKDOWN_HEADING = 0,
  BRAID_MARKDOWN_PARAGRAPH = 1,
  BRAID_MARKDOWN_LIST_ITEM = 2,
  BRAID_MARKDOWN_TABLE = 3,
  BRAID_MARKDOWN_CODE = 4,
};

typedef struct {
  uint32_t kind;   // BRAID_MARKDOWN_*
  uint32_t level;  // of a heading: 1 to 6
  uint64_t begin;  // source bytes, on character boundaries
  uint64_t end;
  uint64_t heading_begin;  // plain text, in braid_markdown_headings
  uint64_t heading_end;
} BraidMarkdownBlock;

// Parses `length` bytes of UTF-8. The caller frees *document.
int braid_markdown_parse(const char* text, size_t length,
                         BraidMarkdownDocument** document, char** error);
// Disjoint and in order; lives as long as the document.
const BraidMarkdownBlock* braid_markdown_blocks(
    const BraidMarkdownDocument* document, size_t* count);
// Plain text of all headings, not terminated; lives as long as the document.
const char* braid_markdown_headings(const BraidMarkdownDocument* document,
                                    size_t* length);
// What lies between the fences of the YAML front matter; empty if there is
// none.
int braid_markdown_front_matter(const BraidMarkdownDocument* document,
                                uint64_t* begin, uint64_t* end);
void braid_markdown_free(BraidMarkdownDocument* document);
void braid_markdown_free_error(char* error);

#ifdef __cplusplus
}
#endif

#endif  // BRAID_RETRIEVAL_INGEST_FFI_MARKDOWN_FFI_H_
