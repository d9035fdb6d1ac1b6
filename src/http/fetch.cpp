#include "http/fetch.h"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <array>
#include <memory>

#include "base/error.h"

namespace icedit::http {
namespace {

struct Network {
  uint32_t address;
  int bits;
};

// What IANA's registry of special-purpose IPv4 addresses keeps from the internet, and multicast.
constexpr std::array<Network, 15> kNotPublic = {{{0x00000000, 8},
                                                 {0x0a000000, 8},
                                                 {0x64400000, 10},
                                                 {0x7f000000, 8},
                                                 {0xa9fe0000, 16},
                                                 {0xac100000, 12},
                                                 {0xc0000000, 24},
                                                 {0xc0000200, 24},
                                                 {0xc0586300, 24},
                                                 {0xc0a80000, 16},
                                                 {0xc6120000, 15},
                                                 {0xc6336400, 24},
                                                 {0xcb007100, 24},
                                                 {0xe0000000, 4},
                                                 {0xf0000000, 4}}};

bool is_public(const in_addr& address) {
  const uint32_t bits = ntohl(address.s_addr);
  for (const Network& network : kNotPublic)
    if ((bits ^ network.address) >> (32 - network.bits) == 0) return false;
  return true;
}

// Global unicast (2000::/3), without protocols (2001::/23, Teredo among them), documentation and
// 6to4, which holds an IPv4 address.
bool is_public(const in6_addr& address) {
  const uint8_t* b = address.s6_addr;
  const bool protocols = b[0] == 0x20 && b[1] == 0x01 && b[2] < 0x02;
  const bool documentation = b[0] == 0x20 && b[1] == 0x01 && b[2] == 0x0d && b[3] == 0xb8;
  const bool in_ipv4 = b[0] == 0x20 && b[1] == 0x02;
  const bool documentation2 = b[0] == 0x3f && b[1] == 0xff && b[2] < 0x10;
  return (b[0] & 0xe0) == 0x20 && !protocols && !documentation && !in_ipv4 && !documentation2;
}

struct Transfer {
  const Fetcher::Rules& rules;
  std::string bytes = {};
  bool not_public = false, too_large = false;
};

size_t on_bytes(char* data, size_t, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.too_large = transfer.bytes.size() + count > transfer.rules.most_bytes;
  if (transfer.too_large) return 0;
  transfer.bytes.append(data, count);
  return count;
}

// Asked with the address that the name was resolved to, which is the one that is connected to.
curl_socket_t on_socket(void* user, curlsocktype, curl_sockaddr* to) {
  auto& transfer = *static_cast<Transfer*>(user);
  const bool may = !transfer.rules.public_only ||
                   (to->family == AF_INET
                        ? is_public(reinterpret_cast<sockaddr_in*>(&to->addr)->sin_addr)
                        : to->family == AF_INET6 &&
                              is_public(reinterpret_cast<sockaddr_in6*>(&to->addr)->sin6_addr));
  if (may) return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
  transfer.not_public = true;
  return CURL_SOCKET_BAD;
}

void set_rules(CURL* curl, const std::string& url, Transfer& transfer) {
  const Fetcher::Rules& rules = transfer.rules;
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");  // the environment's would resolve names itself
  curl_easy_setopt(curl, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "icedit");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(rules.connect_time.count()));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(rules.total_time.count()));
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  if (!rules.authorities.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, rules.authorities.c_str());
}

// One of those that may run at once.
class Turn {
 public:
  Turn(std::atomic<int>& running, int most) : running_(running), has_(++running <= most) {}
  ~Turn() { --running_; }
  Turn(const Turn&) = delete;
  bool has() const { return has_; }

 private:
  std::atomic<int>& running_;
  const bool has_;
};

}  // namespace

bool is_public_address(const std::string& address) {
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return is_public(v4);
  return inet_pton(AF_INET6, address.c_str(), &v6) == 1 && is_public(v6);
}

std::string Fetcher::operator()(const std::string& url) {
  const std::string shown = url.substr(0, 200);
  const auto fail = [&](const auto&... why) {
    throw UsageError(str("the picture at '", shown, "' ", why...));
  };
  if (!url.starts_with("https://")) fail("is not fetched, only URLs with https:// are");
  const Turn turn(running_, rules_.at_once);
  if (!turn.has()) fail("is not fetched now, since ", rules_.at_once, " others are; try again");
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 curl_easy_cleanup);
  if (ready != CURLE_OK || curl == nullptr) fail("cannot be fetched: libcurl does not start");
  Transfer transfer{rules_};
  set_rules(curl.get(), url, transfer);
  const CURLcode code = curl_easy_perform(curl.get());
  if (transfer.not_public) fail("is not fetched, since its address is not of the public internet");
  if (transfer.too_large) fail("has more than ", rules_.most_bytes, " bytes, which is the most");
  if (code != CURLE_OK) fail("cannot be fetched: ", curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status / 100 == 3) fail("is elsewhere (", status, "); redirects are not followed");
  if (status != 200) fail("is not there: its server answered ", status);
  return std::move(transfer.bytes);
}

}  // namespace icedit::http
