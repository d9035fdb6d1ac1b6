#pragma once
// Who may ask what: the API key or the page's session, the Host that was meant, the Origin that
// asks, and whose jobs they are.
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "http/message.h"

namespace icedit::http {

struct AccessRules {
  std::vector<std::string> keys;     // none: everybody may
  std::vector<std::string> hosts;    // names beside this machine's own, without ports
  std::vector<std::string> origins;  // pages elsewhere that may ask ("https://example.org", "*")
  std::vector<std::string> proxies;  // addresses whose X-Forwarded-For is believed
};

struct Denial {
  int status;
  std::string code, message;
};

inline constexpr const char* kSessionCookie = "icedit_session";

class Access {
 public:
  explicit Access(AccessRules rules);

  // Whether the request comes from where it may: its Host, and its Origin where it has one.
  std::optional<Denial> check_place(const Request& request) const;
  // Whether it shows a key, or a session that one was exchanged for. A session counts for changes
  // only from the page's own Origin.
  std::optional<Denial> check_key(const Request& request) const;
  bool needs_key() const { return !rules_.keys.empty(); }

  // The Set-Cookie of a new session; where the connection is encrypted, or one to a proxy is, for
  // such only. `end` ends the session in the browser.
  std::string session(const Request& request, bool end = false) const;

  // How the client writes this server: "https://edit.example.org".
  std::string origin(const Request& request) const;

  // Whose jobs count together: the key, the session or the address.
  std::string client(const Request& request) const;

  // Headers of every answer to a page elsewhere that may ask; none for others.
  Headers cors(const Request& request) const;

 private:
  bool from_proxy(const Request& request) const;
  bool is_encrypted(const Request& request) const;
  std::optional<size_t> key_of(const Request& request) const;
  std::string session_of(const Request& request) const;  // its name, where it counts; else ""
  std::string signature(const std::string& text) const;

  AccessRules rules_;
  std::string secret_;  // of the sessions' signatures: the same on every server with the same keys
};

// Hexadecimal, of so many random bytes.
std::string random_id(size_t bytes);

}  // namespace icedit::http
