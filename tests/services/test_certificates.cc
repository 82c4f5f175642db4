#include "test_certificates.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace braid::services {
namespace {

std::string TakePem(BIO* out) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(out);
  return pem;
}

std::string Number(const TestKey& key, const char* name) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key.get(), name, &number) != 1) abort();
  std::string bytes(static_cast<size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_free(number);
  return Base64Url(bytes);
}

void AddExtension(X509* certificate, X509* issuer, int kind,
                  const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension =
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  if (extension == nullptr) abort();
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

TestCertificate Make(const TestCertificate* authority, const std::string& name,
                     const std::string& alternative_names,
                     absl::Duration valid_for) {
  static long serial = 1;
  TestCertificate made;
  made.certificate.reset(X509_new());
  X509* const certificate = made.certificate.get();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  constexpr long kDay = 24 * 60 * 60;
  X509_gmtime_adj(X509_getm_notBefore(certificate), -kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate),
                  static_cast<long>(absl::ToInt64Seconds(valid_for)));
  X509_set_pubkey(certificate, made.key.get());
  X509_NAME* const subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(
      subject, "CN", MBSTRING_UTF8,
      reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509* const issuer =
      authority == nullptr ? certificate : authority->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  AddExtension(certificate, issuer, NID_basic_constraints,
               authority == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
  if (!alternative_names.empty()) {
    AddExtension(certificate, issuer, NID_subject_alt_name, alternative_names);
  }
  EVP_PKEY* const signer =
      authority == nullptr ? made.key.get() : authority->key.get();
  if (X509_sign(certificate, signer, EVP_sha256()) == 0) abort();
  return made;
}

std::string SigningInput(const std::string& header, const std::string& claims) {
  return absl::StrCat(Base64Url(header), ".", Base64Url(claims));
}

}  // namespace

TestKey::TestKey() : key_(EVP_RSA_gen(2048)) {
  if (key_ == nullptr) abort();
}

std::string TestKey::Pem() const {
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(out, key_.get(), nullptr, nullptr, 0, nullptr,
                           nullptr);
  return TakePem(out);
}

std::string TestKey::Jwk(const std::string& id) const {
  return absl::StrCat(R"({"kty":"RSA","use":"sig","kid":")", id, R"(","n":")",
                      Number(*this, OSSL_PKEY_PARAM_RSA_N), R"(","e":")",
                      Number(*this, OSSL_PKEY_PARAM_RSA_E), R"("})");
}

std::string TestKey::Sign(const std::string& header,
                          const std::string& claims) const {
  const std::string input = SigningInput(header, claims);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  size_t size = 0;
  std::string signature;
  const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
  if (EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_.get()) !=
          1 ||
      EVP_DigestSign(context, nullptr, &size, bytes, input.size()) != 1) {
    abort();
  }
  signature.resize(size);
  EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()),
                 &size, bytes, input.size());
  EVP_MD_CTX_free(context);
  return absl::StrCat(input, ".", Base64Url(signature));
}

std::string Base64Url(const std::string& text) {
  return absl::WebSafeBase64Escape(text);
}

std::string SignHmac(const std::string& header, const std::string& claims,
                     const std::string& secret) {
  const std::string input = SigningInput(header, claims);
  std::string mac(32, '\0');
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(input.data()), input.size(),
       reinterpret_cast<unsigned char*>(mac.data()), nullptr);
  return absl::StrCat(input, ".", Base64Url(mac));
}

std::string TestCertificate::Pem() const {
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(out, certificate.get());
  return TakePem(out);
}

TestCertificate MakeAuthority(const std::string& name) {
  return Make(nullptr, name, "", absl::Hours(1));
}

TestCertificate Issue(const TestCertificate& authority, const std::string& name,
                      const std::string& alternative_names,
                      absl::Duration valid_for) {
  return Make(&authority, name, alternative_names, valid_for);
}

}  // namespace braid::services
