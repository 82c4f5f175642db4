#include "kernels/kv_cache.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "kernels/cpu/large_memory.h"
#include "kernels/half.h"

namespace braid::kernels {
namespace {

constexpr std::align_val_t kAlignment{64};
// Pages that are allocated one by one. Those of a longer sequence, which all
// its tokens read, lie side by side in memory of the system's large pages.
constexpr size_t kPagesAlone = 8;

constexpr size_t ElementBytes(KvType type) {
  switch (type) {
    case KvType::kF32:
      return 4;
    case KvType::kF16:
      return 2;
    case KvType::kInt8:
      return 1;
  }
  return 0;
}

// Where one vector of one token goes: element i at to[at(i)], or, where rows
// are interleaved, at to[paired_at(i)].
struct KeyColumn {
  size_t token;
  size_t padded_dim;
  size_t at(size_t i) const { return panel() + i * kKvPanel + column(); }
  size_t paired_at(size_t i) const {
    return panel() + i / 2 * 2 * kKvPanel + column() * 2 + i % 2;
  }
  size_t panel() const { return token / kKvPanel * padded_dim * kKvPanel; }
  size_t column() const { return token % kKvPanel; }
};
struct ValueRow {
  size_t token;
  size_t at(size_t i) const {
    return panel(i) + token * kKvPanel + i % kKvPanel;
  }
  size_t paired_at(size_t i) const {
    return panel(i) + token / 2 * 2 * kKvPanel + i % kKvPanel * 2 + token % 2;
  }
  size_t panel(size_t i) const {
    return i / kKvPanel * kKvPageTokens * kKvPanel;
  }
};

template <class Place>
void Store(KvType type, const float* x, size_t count, const Place& place,
           std::byte* to, std::byte* scales) {
  switch (type) {
    case KvType::kF32: {
      float* out = reinterpret_cast<float*>(to);
      for (size_t i = 0; i < count; ++i) out[place.at(i)] = x[i];
      return;
    }
    case KvType::kF16: {
      uint16_t* out = reinterpret_cast<uint16_t*>(to);
      for (size_t i = 0; i < count; ++i) out[place.at(i)] = FloatToHalf(x[i]);
      return;
    }
    case KvType::kInt8: {
      float largest = 0.0f;
      for (size_t i = 0; i < count; ++i) {
        largest = std::max(largest, std::abs(x[i]));
      }
      // Numbers so small that 127 / largest overflows are as good as zero.
      const float inverse = largest < 0x1p-100f ? 0.0f : 127.0f / largest;
      int8_t* out = reinterpret_cast<int8_t*>(to);
      for (size_t i = 0; i < count; ++i) {
        const float steps = std::nearbyint(x[i] * inverse);
        // Written so that what is not a number becomes one.
        out[place.paired_at(i)] = static_cast<int8_t>(
            steps > -127.0f ? std::min(steps, 127.0f) : -127.0f);
      }
      reinterpret_cast<float*>(scales)[place.token] = largest / 127.0f;
      return;
    }
  }
}

}  // namespace

std::optional<KvType> ParseKvType(std::string_view name) {
  for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kInt8}) {
    if (name == KvTypeName(type)) return type;
  }
  return std::nullopt;
}

const char* KvTypeName(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kF16:
      return "f16";
    case KvType::kInt8:
      return "int8";
  }
  return "";
}

KvPageLayout::KvPageLayout(const KvShape& shape)
    : padded_head_dim_(shape.type == KvType::kInt8
                           ? (shape.head_dim + 1) / 2 * 2
                           : shape.head_dim),
      padded_value_dim_((shape.value_dim + kKvPanel - 1) / kKvPanel * kKvPanel),
      key_bytes_(padded_head_dim_ * kKvPageTokens * ElementBytes(shape.type)),
      value_bytes_(shape.values_in_keys ? 0
                                        : padded_value_dim_ * kKvPageTokens *
                                              ElementBytes(shape.type)),
      scale_bytes_(shape.type == KvType::kInt8 ? kKvPageTokens * sizeof(float)
                                               : 0),
      head_bytes_(key_bytes_ + value_bytes_ +
                  (shape.values_in_keys ? 1 : 2) * scale_bytes_),
      page_bytes_(shape.kv_heads * head_bytes_) {}

KvCache::KvCache(const KvShape& shape) : shape_(shape), layout_(shape) {}

KvCache::KvCache(const KvCache& other)
    : shape_(other.shape_),
      layout_(other.layout_),
      pages_(other.pages_),
      tokens_(other.tokens_) {
  if (tokens_ % kKvPageTokens != 0) {
    pages_.back() = NewPage();
    std::memcpy(pages_.back().get(), other.pages_.back().get(),
                layout_.page_bytes());
  }
}

KvCache& KvCache::operator=(const KvCache& other) {
  if (this != &other) *this = KvCache(other);
  return *this;
}

KvCache::Page KvCache::NewPage() {
  const size_t bytes = layout_.page_bytes();
  Page page;
  if (pages_.size() < kPagesAlone) {
    page = Page(static_cast<std::byte*>(::operator new(bytes, kAlignment)),
                [](std::byte* p) { ::operator delete(p, kAlignment); });
  } else {
    if (extent_left_ < bytes) {
      extent_left_ = std::max(kHugePage, bytes);
      const LargeMemory memory = AllocatePages(extent_left_);
      extent_ = Page(memory, reinterpret_cast<std::byte*>(memory.get()));
    }
    extent_left_ -= bytes;
    page = Page(extent_, extent_.get() + extent_left_);
  }
  // Lanes of a panel that have no token yet are read, and must be numbers.
  std::memset(page.get(), 0, bytes);
  return page;
}

void KvCache::Append(const float* keys, size_t ldk, const float* values,
                     size_t ldv, size_t rows) {
  for (size_t r = 0; r < rows; ++r, ++tokens_) {
    const size_t token = tokens_ % kKvPageTokens;
    if (token == 0) pages_.push_back(NewPage());
    std::byte* page = pages_.back().get();
    for (size_t h = 0; h < shape_.kv_heads; ++h) {
      Store(shape_.type, keys + r * ldk + h * shape_.head_dim, shape_.head_dim,
            KeyColumn{token, layout_.padded_head_dim()}, page + layout_.keys(h),
            page + layout_.key_scales(h));
      if (shape_.values_in_keys) continue;
      Store(shape_.type, values + r * ldv + h * shape_.value_dim,
            shape_.value_dim, ValueRow{token}, page + layout_.values(h),
            page + layout_.value_scales(h));
    }
  }
}

}  // namespace braid::kernels
