/* The C ABI of the crate braid-lexical: BM25 on Tantivy.
 *
 * Calls return BRAID_LEXICAL_OK or another code; with another code, and where
 * `error_out` is not null, *error_out is a message to free with
 * braid_lexical_free_error. Text is bytes with a length; what is not UTF-8 is
 * read with replacement characters. No call throws or aborts. */
#ifndef BRAID_RETRIEVAL_LEXICAL_FFI_LEXICAL_FFI_H_
#define BRAID_RETRIEVAL_LEXICAL_FFI_LEXICAL_FFI_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  BRAID_LEXICAL_OK = 0,
  BRAID_LEXICAL_INVALID_ARGUMENT = 1,
  BRAID_LEXICAL_IN_USE = 2, /* another writer has the directory */
  BRAID_LEXICAL_IO = 3,
  BRAID_LEXICAL_INTERNAL = 4,
  BRAID_LEXICAL_DAMAGED = 5, /* the files are not what was written */
  BRAID_LEXICAL_NOT_FOUND = 6,
};

/* An index and its only writer. All calls are thread-safe. */
typedef struct braid_lexical_index braid_lexical_index;
/* An immutable commit; outlives its index. All calls are thread-safe. */
typedef struct braid_lexical_snapshot braid_lexical_snapshot;

typedef struct {
  uint64_t chunk;
  float score;
} braid_lexical_hit;

/* Opens or creates; a damaged index, or one of another language, is removed and
 * created anew. Reads every file once to check it. */
int32_t braid_lexical_open(const char* directory, size_t directory_length,
                           const char* language, size_t language_length,
                           braid_lexical_index** index_out, char** error_out);
/* What was not committed is lost. Null is allowed. */
void braid_lexical_close(braid_lexical_index* index);

/* Adds a chunk; one with the same id is replaced. Waits while more than 10,000
 * chunks wait to be indexed. */
int32_t braid_lexical_add(const braid_lexical_index* index, uint64_t chunk,
                          const char* title, size_t title_length,
                          const char* text, size_t text_length,
                          char** error_out);
int32_t braid_lexical_delete(const braid_lexical_index* index, uint64_t chunk,
                             char** error_out);
/* Durable and visible, with its sequence, when it returns. */
int32_t braid_lexical_commit(const braid_lexical_index* index,
                             uint64_t sequence, char** error_out);
int32_t braid_lexical_committed_sequence(const braid_lexical_index* index,
                                         uint64_t* sequence_out,
                                         char** error_out);

/* Reads every file of the last commit again: BRAID_LEXICAL_DAMAGED, naming it,
 * if one is missing or not what was written. */
int32_t braid_lexical_verify(const braid_lexical_index* index,
                             char** error_out);
/* The sequence and all ids, ascending, of an index that nobody has open.
 * Changes nothing; checks every file. BRAID_LEXICAL_NOT_FOUND if there is none.
 * Free the ids with braid_lexical_free_chunks. */
int32_t braid_lexical_read(const char* directory, size_t directory_length,
                           const char* language, size_t language_length,
                           uint64_t* sequence_out, uint64_t** chunks_out,
                           size_t* count_out, char** error_out);

int32_t braid_lexical_snapshot_open(const braid_lexical_index* index,
                                    const braid_lexical_snapshot** snapshot_out,
                                    char** error_out);
void braid_lexical_snapshot_release(const braid_lexical_snapshot* snapshot);

/* The best `limit` chunks, best first; with `titles`, by their titles alone.
 * With `filtered`, only those whose bit (chunk % 64 of word chunk / 64) is set
 * in `allowed`, of `allowed_length` words. Free the hits with
 * braid_lexical_free_hits. */
int32_t braid_lexical_search(const braid_lexical_snapshot* snapshot,
                             const char* query, size_t query_length,
                             bool titles, size_t limit, bool filtered,
                             const uint64_t* allowed, size_t allowed_length,
                             braid_lexical_hit** hits_out, size_t* count_out,
                             char** error_out);
/* The scores of those of `chunks` that are in the index and share a word or an
 * identifier with the query, by ascending chunk. Free them likewise. */
int32_t braid_lexical_score(const braid_lexical_snapshot* snapshot,
                            const char* query, size_t query_length,
                            const uint64_t* chunks, size_t chunk_count,
                            braid_lexical_hit** hits_out, size_t* count_out,
                            char** error_out);
void braid_lexical_free_hits(braid_lexical_hit* hits, size_t count);
/* All ids, ascending. Free them with braid_lexical_free_chunks. */
int32_t braid_lexical_chunks(const braid_lexical_snapshot* snapshot,
                             uint64_t** chunks_out, size_t* count_out,
                             char** error_out);
void braid_lexical_free_chunks(uint64_t* chunks, size_t count);

void braid_lexical_free_error(char* message);

#ifdef __cplusplus
}
#endif

#endif /* BRAID_RETRIEVAL_LEXICAL_FFI_LEXICAL_FFI_H_ */
