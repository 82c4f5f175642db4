// Keys, certificates and tokens made with OpenSSL while a test runs.
#ifndef BRAID_TESTS_SERVICES_TEST_CERTIFICATES_H_
#define BRAID_TESTS_SERVICES_TEST_CERTIFICATES_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace braid::services {

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct CertificateDeleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

// RSA, 2048 bits.
class TestKey {
 public:
  TestKey();
  EVP_PKEY* get() const { return key_.get(); }
  // PKCS #8, PEM.
  std::string Pem() const;
  // The public key as a JWK (RFC 7517).
  std::string Jwk(const std::string& id) const;
  // A compact JWS (RFC 7515) of two JSON texts, signed with RS256.
  std::string Sign(const std::string& header, const std::string& claims) const;

 private:
  std::unique_ptr<EVP_PKEY, KeyDeleter> key_;
};

// `text` in base64url without padding.
std::string Base64Url(const std::string& text);
// The same with HMAC-SHA256 under `secret`.
std::string SignHmac(const std::string& header, const std::string& claims,
                     const std::string& secret);

struct TestCertificate {
  TestKey key;
  std::unique_ptr<X509, CertificateDeleter> certificate;
  std::string Pem() const;
};

TestCertificate MakeAuthority(const std::string& name);
// `alternative_names` as OpenSSL's configuration writes them, such as
// `DNS:localhost,IP:127.0.0.1`; "" for none. Valid from a day ago.
TestCertificate Issue(const TestCertificate& authority, const std::string& name,
                      const std::string& alternative_names,
                      absl::Duration valid_for = absl::Hours(1));

}  // namespace braid::services

#endif  // BRAID_TESTS_SERVICES_TEST_CERTIFICATES_H_
