#include "http/access.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "io/files.h"

namespace icedit::http {
namespace {

constexpr int64_t kSessionSeconds = int64_t{7} * 24 * 3600;
const std::array<std::string_view, 3> kOwnHosts = {"localhost", "127.0.0.1", "[::1]"};

// In a time that does not tell how much is equal, nor how long the other is.
bool equal_secrets(std::string_view a, std::string_view b) {
  const std::string x = sha256(a), y = sha256(b);
  return CRYPTO_memcmp(x.data(), y.data(), x.size()) == 0;
}

// "example.org:7860" without its port.
std::string_view without_port(std::string_view host) {
  const size_t bracket = host.rfind(']');
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket))
    return host;
  return host.substr(0, colon);
}

// Of "https://example.org:8443" what stands in a Host; "" where it is no such.
std::string_view authority_of(std::string_view origin) {
  const size_t slashes = origin.find("://");
  return slashes == std::string_view::npos ? std::string_view() : origin.substr(slashes + 3);
}

bool is_same_origin(const Request& request) {
  const std::string_view authority = authority_of(request.header("origin"));
  return !authority.empty() && same_ignoring_case(authority, request.header("host"));
}

bool has(const std::vector<std::string>& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& one) { return same_ignoring_case(one, text); });
}

bool changes(const Request& request) {
  return request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS";
}

}  // namespace

std::string random_id(size_t bytes) {
  std::string random(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), int(bytes)) != 1)
    throw IoError("the system gives no random bytes; is /dev/urandom there?");
  return hex_text(random);
}

Access::Access(AccessRules rules) : rules_(std::move(rules)) {
  std::string all = "icedit session";
  for (const std::string& key : rules_.keys) all += "\n" + key;
  secret_ = sha256(all);
}

std::optional<Denial> Access::check_place(const Request& request) const {
  const std::string_view host = without_port(request.header("host"));
  const bool known =
      std::any_of(kOwnHosts.begin(), kOwnHosts.end(),
                  [&](std::string_view own) { return same_ignoring_case(own, host); }) ||
      has(rules_.hosts, host);
  if (!known) {
    return Denial{403, "host_not_allowed",
                  str("this server does not go by the name '", host.substr(0, 200),
                      "'; start it with --allowed-host and that name")};
  }
  const std::string_view origin = request.header("origin");
  if (origin.empty() || is_same_origin(request) || has(rules_.origins, origin) ||
      has(rules_.origins, "*"))
    return std::nullopt;
  return Denial{403, "origin_not_allowed",
                str("pages of '", origin.substr(0, 200),
                    "' may not use this server; start it with --cors and that origin")};
}

std::optional<size_t> Access::key_of(const Request& request) const {
  std::string_view given = request.header("authorization");
  constexpr std::string_view kBearer = "bearer ";
  if (!same_ignoring_case(given.substr(0, kBearer.size()), kBearer)) return std::nullopt;
  given = trimmed(given.substr(kBearer.size()));
  std::optional<size_t> found;
  for (size_t i = 0; i < rules_.keys.size(); ++i)  // all of them: which one is nobody's business
    if (equal_secrets(rules_.keys[i], given)) found = i;
  return found;
}

std::string Access::signature(const std::string& text) const {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  HMAC(EVP_sha256(), secret_.data(), int(secret_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes.data(), &size);
  return hex_text({reinterpret_cast<const char*>(bytes.data()), size});
}

// END-NAME-SIGNATURE, so that every server with the same keys knows every other's sessions.
std::string Access::session(const Request& request, bool end) const {
  const std::string text = str(now_seconds() + kSessionSeconds, "-", random_id(12));
  const std::string value = end ? "" : str(text, "-", signature(text));
  return str(kSessionCookie, "=", value,
             "; Path=/; HttpOnly; SameSite=Strict; Max-Age=", end ? 0 : kSessionSeconds,
             is_encrypted(request) ? "; Secure" : "");
}

std::string Access::session_of(const Request& request) const {
  const std::string cookie(request.cookie(kSessionCookie));
  const size_t dash = cookie.rfind('-');
  if (rules_.keys.empty() || dash == std::string::npos) return "";
  const std::string text = cookie.substr(0, dash);
  if (!equal_secrets(signature(text), std::string_view(cookie).substr(dash + 1))) return "";
  int64_t end = 0;
  std::from_chars(text.data(), text.data() + text.size(), end);
  return end < now_seconds() ? "" : text;
}

std::optional<Denial> Access::check_key(const Request& request) const {
  if (!needs_key() || key_of(request)) return std::nullopt;
  if (!request.header("authorization").empty())
    return Denial{401, "invalid_api_key", "this API key is not one of this server's"};
  if (session_of(request).empty()) {
    return Denial{401, "missing_api_key",
                  "this server needs a key: send the header 'Authorization: Bearer KEY'"};
  }
  if (changes(request) && !is_same_origin(request)) {
    return Denial{403, "origin_not_allowed",
                  "a session counts only for its own page, whose Origin this request lacks"};
  }
  return std::nullopt;
}

bool Access::from_proxy(const Request& request) const {
  return has(rules_.proxies, request.address);
}

bool Access::is_encrypted(const Request& request) const {
  return request.encrypted ||
         (from_proxy(request) && request.header("x-forwarded-proto") == "https");
}

std::string Access::origin(const Request& request) const {
  return str(is_encrypted(request) ? "https://" : "http://", request.header("host"));
}

std::string Access::client(const Request& request) const {
  const std::string session = session_of(request);
  if (!from_proxy(request)) return session.empty() ? request.address : session;
  if (const auto key = key_of(request)) return str("key ", *key);
  if (!session.empty()) return session;
  // The last one is what our proxy saw; what stands before it anybody could have written.
  const std::string_view all = request.header("x-forwarded-for");
  const size_t comma = all.rfind(',');
  const std::string_view last =
      trimmed(comma == std::string_view::npos ? all : all.substr(comma + 1));
  return last.empty() ? request.address : std::string(last);
}

Headers Access::cors(const Request& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty() || is_same_origin(request) ||
      !(has(rules_.origins, origin) || has(rules_.origins, "*")))
    return {};
  Headers headers = {{"Access-Control-Allow-Origin", std::string(origin)}, {"Vary", "Origin"}};
  if (request.method == "OPTIONS") {
    headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, DELETE");
    headers.emplace_back("Access-Control-Allow-Headers", "Authorization, Content-Type");
    headers.emplace_back("Access-Control-Max-Age", "600");
  }
  return headers;
}

}  // namespace icedit::http
