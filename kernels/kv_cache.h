// The keys and values of one sequence's past tokens, in the layout that
// attention reads: pages of 128 tokens, and in a page for each key/value head
//
//   keys    [128 / 16][head_dim][16]    sixteen tokens beside one another
//   values  [value_dim / 16][128][16]   value_dim padded with zeros
//   scales  keys [128], values [128]    of kInt8 alone, f32
//
// Both are right operands of a matrix product as they lie there (scores = q
// K^T, out = weights V), so that nothing is packed when a token attends to
// them. Integer products add up pairs and take these beside one another: in
// kInt8 two rows of a panel, dimensions of keys or tokens of values, are
// interleaved, [.. / 2][16][2].
#ifndef BRAID_KERNELS_KV_CACHE_H_
#define BRAID_KERNELS_KV_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kv_type.h"

namespace braid::kernels {

struct KvShape {
  size_t kv_heads = 0;
  size_t head_dim = 0;
  size_t value_dim = 0;
  // The value is the first value_dim columns of the key and is not kept again:
  // latent attention with absorbed weights. At most head_dim of them.
  bool values_in_keys = false;
  KvType type = KvType::kF32;
};

inline constexpr size_t kKvPageTokens = 128;
inline constexpr size_t kKvPanel = 16;

// Where things lie in a page, in bytes. All are multiples of a cache line.
class KvPageLayout {
 public:
  explicit KvPageLayout(const KvShape& shape);

  size_t keys(size_t kv_head) const { return kv_head * head_bytes_; }
  size_t values(size_t kv_head) const { return keys(kv_head) + key_bytes_; }
  size_t key_scales(size_t kv_head) const {
    return values(kv_head) + value_bytes_;
  }
  size_t value_scales(size_t kv_head) const {
    return key_scales(kv_head) + scale_bytes_;
  }
  size_t page_bytes() const { return page_bytes_; }
  // head_dim; in kInt8 the next even number.
  size_t padded_head_dim() const { return padded_head_dim_; }
  // value_dim with its padding.
  size_t padded_value_dim() const { return padded_value_dim_; }

 private:
  size_t padded_head_dim_;
  size_t padded_value_dim_;
  size_t key_bytes_;
  size_t value_bytes_;
  size_t scale_bytes_;  // of one of the two
  size_t head_bytes_;
  size_t page_bytes_;
};

// Grows by a page at a time and never moves what it holds. A copy is a
// snapshot: it shares the pages that are full, which do not change any more,
// and copies the one that is not. Different caches may be used by different
// threads at once, also when one is a copy of the other.
class KvCache {
 public:
  explicit KvCache(const KvShape& shape);
  KvCache(const KvCache& other);
  KvCache& operator=(const KvCache& other);
  KvCache(KvCache&&) noexcept = default;
  KvCache& operator=(KvCache&&) noexcept = default;
  ~KvCache() = default;

  // Adds `rows` tokens: keys [rows, kv_heads, head_dim], rows `ldk` floats
  // apart, and values [rows, kv_heads, value_dim], rows `ldv` apart; null if
  // they lie in the keys.
  void Append(const float* keys, size_t ldk, const float* values, size_t ldv,
              size_t rows);

  const KvShape& shape() const { return shape_; }
  const KvPageLayout& layout() const { return layout_; }
  size_t tokens() const { return tokens_; }
  // Of all pages; those shared with a copy count in both.
  size_t bytes() const { return pages_.size() * layout_.page_bytes(); }

  // Tokens [128 i, 128 i + 128); zeros where none is yet.
  const std::byte* page(size_t i) const { return pages_[i].get(); }

 private:
  using Page = std::shared_ptr<std::byte>;
  Page NewPage();

  KvShape shape_;
  KvPageLayout layout_;
  // All but the last are full. One that is not full is this cache's alone.
  std::vector<Page> pages_;
  size_t tokens_ = 0;
  // What the pages of a long sequence are cut from, and how much of it is left.
  // Not shared with copies, only kept alive by the pages that they share.
  Page extent_;
  size_t extent_left_ = 0;
};

}  // namespace braid::kernels

#endif  // BRAID_KERNELS_KV_CACHE_H_
