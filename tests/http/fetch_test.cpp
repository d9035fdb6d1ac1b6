// Pictures from elsewhere: what is fetched from a server of this process, and what never is.
#include "http/fetch.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "http/server.h"

namespace icedit::http {
namespace {

// A certificate for 127.0.0.1 that vouches for itself.
class OwnCertificate {
 public:
  OwnCertificate() {
    std::filesystem::create_directories(folder_);
    EVP_PKEY* key = EVP_RSA_gen(2048);
    X509* x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME* name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_EXTENSION* place =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(x, place, -1);
    X509_EXTENSION_free(place);
    X509_sign(x, key, EVP_sha256());
    std::FILE* file = std::fopen(files.chain.c_str(), "wb");
    PEM_write_X509(file, x);
    std::fclose(file);
    file = std::fopen(files.key.c_str(), "wb");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    X509_free(x);
    EVP_PKEY_free(key);
  }
  ~OwnCertificate() { std::filesystem::remove_all(folder_); }

 private:
  const std::string folder_ = testing::TempDir() + "icedit-fetch";

 public:
  const Certificate files{folder_ + "/certificate.pem", folder_ + "/key.pem"};
};

Response answer(const Request& request) {
  if (request.path == "/picture") return {200, "image/png", "a picture"};
  if (request.path == "/large") return {200, "image/png", std::string(100'000, 'x')};
  if (request.path == "/moved") return {302, "", "", {{"Location", "/picture"}}};
  return {404, "text/plain", "no"};
}

std::string fault(Fetcher& fetcher, const std::string& url) {
  try {
    fetcher(url);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Fetch, WhatIsThereOverHttps) {
  const OwnCertificate own;
  Server server(
      "127.0.0.1", 0, {}, [](const Request&) { return std::nullopt; },
      [](const std::shared_ptr<Exchange>& e) { e->respond(answer(e->request)); },
      [](int status, const std::string& why) {
        return Response{status, "text/plain", why};
      },
      own.files);
  const std::string here = str("https://127.0.0.1:", server.port());
  Fetcher::Rules rules;
  rules.most_bytes = 10'000, rules.public_only = false, rules.authorities = own.files.chain;
  Fetcher fetcher(rules);
  EXPECT_EQ(fetcher(here + "/picture"), "a picture");
  EXPECT_NE(fault(fetcher, here + "/large").find("more than 10000 bytes"), std::string::npos);
  EXPECT_NE(fault(fetcher, here + "/moved").find("redirects are not followed"), std::string::npos);
  EXPECT_NE(fault(fetcher, here + "/none").find("answered 404"), std::string::npos);
  EXPECT_NE(fault(fetcher, "http://127.0.0.1/picture").find("only URLs with https"),
            std::string::npos);
  EXPECT_NE(fault(fetcher, "file:///etc/passwd").find("only URLs with https"), std::string::npos);

  Fetcher::Rules strangers = rules;
  strangers.authorities.clear();
  Fetcher trusts_none(strangers);
  EXPECT_NE(fault(trusts_none, here + "/picture").find("cannot be fetched"), std::string::npos);
  Fetcher::Rules none = rules;
  none.at_once = 0;
  Fetcher busy(none);
  EXPECT_NE(fault(busy, here + "/picture").find("try again"), std::string::npos);

  // As it is in use: nothing of this machine, however its address is written.
  rules.public_only = true;
  Fetcher careful(rules);
  for (const char* host : {"127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::1]",
                           "[::ffff:127.0.0.1]", "0.0.0.0", "10.0.0.1", "169.254.169.254"}) {
    EXPECT_NE(fault(careful, str("https://", host, ":", server.port(), "/picture"))
                  .find("not of the public internet"),
              std::string::npos)
        << host << ": " << fault(careful, str("https://", host, ":", server.port(), "/picture"));
  }
}

TEST(Fetch, AddressesOfTheInternet) {
  for (const char* yes : {"1.1.1.1", "93.184.216.34", "172.32.0.1", "192.169.0.1", "100.128.0.1",
                          "223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888"})
    EXPECT_TRUE(is_public_address(yes)) << yes;
  for (const char* no : {"0.0.0.0",
                         "10.1.2.3",
                         "100.64.0.1",
                         "127.255.0.1",
                         "169.254.169.254",
                         "172.16.0.1",
                         "172.31.255.255",
                         "192.0.0.1",
                         "192.0.2.1",
                         "192.168.1.1",
                         "198.18.0.1",
                         "198.51.100.1",
                         "203.0.113.1",
                         "224.0.0.1",
                         "255.255.255.255",
                         "::",
                         "::1",
                         "fe80::1",
                         "fc00::1",
                         "fd12::1",
                         "ff02::1",
                         "::ffff:8.8.8.8",
                         "64:ff9b::808:808",
                         "2001::1",
                         "2001:db8::1",
                         "2002:7f00:1::",
                         "example.org",
                         ""})
    EXPECT_FALSE(is_public_address(no)) << no;
}

}  // namespace
}  // namespace icedit::http
