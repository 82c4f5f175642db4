/* C ABI of the Rust crate braid-text. Included only by the C++ wrappers.
 *
 * Functions that return int give 0 for success, 1 for bad input and 2 for a
 * defect (a caught panic); then `error`, if not null, holds a message to free
 * with braid_text_buffer_free. Handles are immutable after they are opened and
 * may be used by several threads at once. Text goes in and comes out as UTF-8
 * with a length, never zero-terminated. */
#ifndef BRAID_GENERATION_TEXT_FFI_TEXT_FFI_H_
#define BRAID_GENERATION_TEXT_FFI_TEXT_FFI_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct BraidTextTokenizer BraidTextTokenizer;
typedef struct BraidTextTemplate BraidTextTemplate;

typedef struct BraidTextBuffer {
  uint8_t* data; /* null if len is 0 */
  size_t len;
} BraidTextBuffer;

typedef struct BraidTextTokens {
  uint32_t* ids;   /* [len], null if len is 0 */
  uint32_t* spans; /* [len][2] byte offsets, or null */
  size_t len;
} BraidTextTokens;

enum {
  BRAID_TEXT_ADD_SPECIAL = 1,   /* let the post-processor add its tokens */
  BRAID_TEXT_PARSE_SPECIAL = 2, /* recognise control tokens in the text */
  BRAID_TEXT_SPANS = 4,
};

int braid_text_tokenizer_open(const uint8_t* json, size_t json_len,
                              BraidTextTokenizer** out, BraidTextBuffer* error);
void braid_text_tokenizer_free(BraidTextTokenizer* tokenizer);
/* max_tokens 0: no limit. */
int braid_text_encode(const BraidTextTokenizer* tokenizer, const uint8_t* input,
                      size_t input_len, uint32_t flags, size_t max_tokens,
                      BraidTextTokens* out, BraidTextBuffer* error);
int braid_text_decode(const BraidTextTokenizer* tokenizer, const uint32_t* ids,
                      size_t len, bool skip_special, BraidTextBuffer* out,
                      BraidTextBuffer* error);
/* -1 if there is no such token. */
int64_t braid_text_token_to_id(const BraidTextTokenizer* tokenizer,
                               const uint8_t* token, size_t token_len);
size_t braid_text_vocab_size(const BraidTextTokenizer* tokenizer);

/* `globals`: a JSON object of variables, such as bos_token. */
int braid_text_template_open(const uint8_t* source, size_t source_len,
                             const uint8_t* globals, size_t globals_len,
                             BraidTextTemplate** out, BraidTextBuffer* error);
void braid_text_template_free(BraidTextTemplate* chat_template);
/* `messages`: a JSON array of objects with at least `role`. */
int braid_text_template_render(const BraidTextTemplate* chat_template,
                               const uint8_t* messages, size_t messages_len,
                               bool add_generation_prompt, int64_t unix_seconds,
                               BraidTextBuffer* out, BraidTextBuffer* error);
int braid_text_template_encode(const BraidTextTemplate* chat_template,
                               const BraidTextTokenizer* tokenizer,
                               const uint8_t* messages, size_t messages_len,
                               bool add_generation_prompt, int64_t unix_seconds,
                               BraidTextTokens* out, BraidTextBuffer* error);

void braid_text_buffer_free(BraidTextBuffer buffer);
void braid_text_tokens_free(BraidTextTokens tokens);

#ifdef __cplusplus
}
#endif

#endif /* BRAID_GENERATION_TEXT_FFI_TEXT_FFI_H_ */
