#include "kernels/cuda/linear.h"

#include <cuda_bf16.h>

#include <string>
#include <type_traits>

namespace braid::kernels::cuda {
namespace {

Status FromBlas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return Status();
  return Status::Device(std::string(what) + ": " +
                        cublasLtGetStatusString(status));
}

// The largest power of two up to 256 that divides the address: what algorithms
// may count on.
uint32_t AlignmentOf(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  uint32_t alignment = 256;
  while (address % alignment != 0) alignment /= 2;
  return alignment;
}

// cuBLAS thinks in columns: our row-major C [m, n] is its C^T [n, m], the
// product W A^T of two matrices whose columns are our rows.
struct Product {
  cublasLtMatmulDescOpaque_t operation;
  cublasLtMatrixLayoutOpaque_t w;
  cublasLtMatrixLayoutOpaque_t a;
  cublasLtMatrixLayoutOpaque_t c;
};

template <class T>
Status Describe(const LinearParams<T>& p, Product* product) {
  const cudaDataType_t type =
      std::is_same_v<T, float> ? CUDA_R_32F : CUDA_R_16BF;
  const cublasOperation_t transposed = CUBLAS_OP_T;
  BRAID_CUDA_RETURN_IF_ERROR(
      FromBlas(cublasLtMatmulDescInit(&product->operation, CUBLAS_COMPUTE_32F,
                                      CUDA_R_32F),
               "linear: operation"));
  BRAID_CUDA_RETURN_IF_ERROR(
      FromBlas(cublasLtMatmulDescSetAttribute(&product->operation,
                                              CUBLASLT_MATMUL_DESC_TRANSA,
                                              &transposed, sizeof(transposed)),
               "linear: transposition"));
  if (p.bias != nullptr) {
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    BRAID_CUDA_RETURN_IF_ERROR(
        FromBlas(cublasLtMatmulDescSetAttribute(&product->operation,
                                                CUBLASLT_MATMUL_DESC_EPILOGUE,
                                                &epilogue, sizeof(epilogue)),
                 "linear: bias"));
    const void* bias = p.bias;
    BRAID_CUDA_RETURN_IF_ERROR(FromBlas(
        cublasLtMatmulDescSetAttribute(&product->operation,
                                       CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias,
                                       sizeof(bias)),
        "linear: bias"));
  }
  const auto rows = static_cast<uint64_t>(p.n);
  const auto columns = static_cast<uint64_t>(p.m);
  const auto depth = static_cast<uint64_t>(p.k);
  BRAID_CUDA_RETURN_IF_ERROR(
      FromBlas(cublasLtMatrixLayoutInit(&product->w, type, depth, rows, p.ldw),
               "linear: weights"));
  BRAID_CUDA_RETURN_IF_ERROR(FromBlas(
      cublasLtMatrixLayoutInit(&product->a, type, depth, columns, p.lda),
      "linear: inputs"));
  return FromBlas(
      cublasLtMatrixLayoutInit(&product->c, type, rows, columns, p.ldc),
      "linear: result");
}

// Alignments of weights, inputs, residual and result.
using Alignments = uint32_t[4];

Status Choose(cublasLtHandle_t handle, Product& product,
              const Alignments& alignments, size_t workspace_bytes,
              cublasLtMatmulAlgo_t* algorithm) {
  cublasLtMatmulPreferenceOpaque_t preference;
  BRAID_CUDA_RETURN_IF_ERROR(FromBlas(cublasLtMatmulPreferenceInit(&preference),
                                      "linear: preference"));
  BRAID_CUDA_RETURN_IF_ERROR(
      FromBlas(cublasLtMatmulPreferenceSetAttribute(
                   &preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                   &workspace_bytes, sizeof(workspace_bytes)),
               "linear: workspace"));
  const cublasLtMatmulPreferenceAttributes_t names[4] = {
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
  for (int i = 0; i < 4; ++i) {
    BRAID_CUDA_RETURN_IF_ERROR(
        FromBlas(cublasLtMatmulPreferenceSetAttribute(
                     &preference, names[i], &alignments[i], sizeof(uint32_t)),
                 "linear: alignment"));
  }
  cublasLtMatmulHeuristicResult_t found;
  int count = 0;
  BRAID_CUDA_RETURN_IF_ERROR(FromBlas(
      cublasLtMatmulAlgoGetHeuristic(handle, &product.operation, &product.w,
                                     &product.a, &product.c, &product.c,
                                     &preference, 1, &found, &count),
      "linear: algorithm"));
  if (count == 0) {
    return Status::InvalidArgument("linear: cuBLASLt knows no algorithm");
  }
  *algorithm = found.algo;
  return Status();
}

}  // namespace

Status LinearProducts::Create(void* workspace, size_t workspace_bytes,
                              std::unique_ptr<LinearProducts>* products) {
  cublasLtHandle_t handle = nullptr;
  BRAID_CUDA_RETURN_IF_ERROR(FromBlas(cublasLtCreate(&handle), "cuBLASLt"));
  products->reset(new LinearProducts(handle, workspace, workspace_bytes));
  return Status();
}

LinearProducts::~LinearProducts() {
  // Nobody is left to be told.
  static_cast<void>(cublasLtDestroy(handle_));
}

template <class T>
Status LinearProducts::Multiply(const LinearParams<T>& p, cudaStream_t stream) {
  BRAID_CUDA_REQUIRE(p.m >= 0 && p.n > 0 && p.k > 0, "linear: sizes");
  BRAID_CUDA_REQUIRE(p.lda >= p.k && p.ldw >= p.k && p.ldc >= p.n,
                     "linear: rows overlap");
  if (p.m == 0) return Status();
  Product product;
  BRAID_CUDA_RETURN_IF_ERROR(Describe(p, &product));
  const T* residual = p.residual == nullptr ? p.c : p.residual;
  const Alignments alignments = {AlignmentOf(p.weights), AlignmentOf(p.a),
                                 AlignmentOf(residual), AlignmentOf(p.c)};
  const Shape shape(sizeof(T), p.m, p.n, p.k, p.lda, p.ldw, p.ldc,
                    p.bias != nullptr, p.residual != nullptr, alignments[0],
                    alignments[1], alignments[2], alignments[3]);
  cublasLtMatmulAlgo_t algorithm;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto known = algorithms_.find(shape);
    if (known != algorithms_.end()) {
      algorithm = known->second;
    } else {
      BRAID_CUDA_RETURN_IF_ERROR(
          Choose(handle_, product, alignments, workspace_bytes_, &algorithm));
      algorithms_.emplace(shape, algorithm);
    }
  }
  const float one = 1.0f;
  const float beta = p.residual == nullptr ? 0.0f : 1.0f;
  return FromBlas(cublasLtMatmul(handle_, &product.operation, &one, p.weights,
                                 &product.w, p.a, &product.a, &beta, residual,
                                 &product.c, p.c, &product.c, &algorithm,
                                 workspace_, workspace_bytes_, stream),
                  "linear");
}

template Status LinearProducts::Multiply(const LinearParams<float>&,
                                         cudaStream_t);
template Status LinearProducts::Multiply(const LinearParams<__nv_bfloat16>&,
                                         cudaStream_t);

}  // namespace braid::kernels::cuda
