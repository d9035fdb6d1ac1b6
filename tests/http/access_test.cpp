#include "http/access.h"

#include <gtest/gtest.h>

namespace icedit::http {
namespace {

Request asked(Headers headers, const std::string& method = "POST",
              const std::string& address = "127.0.0.1") {
  Request request;
  request.method = method;
  request.headers = std::move(headers);
  request.address = address;
  return request;
}

AccessRules rules(std::vector<std::string> keys = {}) {
  AccessRules rules;
  rules.keys = std::move(keys);
  return rules;
}

std::string cookie_of(const std::string& set_cookie) {
  return set_cookie.substr(0, set_cookie.find(';'));
}

TEST(Access, KnowsItsHosts) {
  AccessRules some = rules();
  some.hosts = {"edit.example.org"};
  const Access access(some);
  for (const char* host : {"localhost", "localhost:7860", "127.0.0.1:1", "[::1]:7860", "[::1]",
                           "Edit.Example.org", "edit.example.org:443"})
    EXPECT_FALSE(access.check_place(asked({{"Host", host}}))) << host;
  for (const char* host : {"", "evil.org", "localhost.evil.org", "evil.org:7860", "10.0.0.1"}) {
    const auto denial = access.check_place(asked({{"Host", host}}));
    ASSERT_TRUE(denial) << host;
    EXPECT_EQ(denial->status, 403);
  }
}

TEST(Access, TakesItsOwnOriginAndThoseNamed) {
  AccessRules some = rules();
  some.origins = {"https://app.example.org"};
  const Access access(some);
  const auto ok = [&](const char* origin) {
    return !access.check_place(asked({{"Host", "localhost:7860"}, {"Origin", origin}}));
  };
  EXPECT_TRUE(ok("http://localhost:7860"));
  EXPECT_TRUE(ok("https://app.example.org"));
  EXPECT_FALSE(ok("http://localhost:7861"));
  EXPECT_FALSE(ok("http://localhost"));
  EXPECT_FALSE(ok("null"));
  EXPECT_FALSE(ok("https://evil.org"));
  EXPECT_EQ(access.cors(asked({{"Host", "localhost"}, {"Origin", "https://app.example.org"}}))
                .front()
                .second,
            "https://app.example.org");
  EXPECT_TRUE(access.cors(asked({{"Host", "localhost"}, {"Origin", "https://evil.org"}})).empty());
}

TEST(Access, AsksForAKey) {
  const Access access(rules({"secret", "second"}));
  const auto with = [](const char* value) { return asked({{"Authorization", value}}); };
  EXPECT_FALSE(access.check_key(with("Bearer secret")));
  EXPECT_FALSE(access.check_key(with("bearer  second ")));
  for (const char* wrong : {"Bearer secre", "Bearer secrets", "Bearer ", "Basic secret", "secret"})
    EXPECT_EQ(access.check_key(with(wrong))->code, "invalid_api_key") << wrong;
  EXPECT_EQ(access.check_key(asked({}))->code, "missing_api_key");
  EXPECT_FALSE(Access(rules()).check_key(asked({})));
}

TEST(Access, ASessionCountsForItsOwnPageOnly) {
  const Access access(rules({"secret"}));
  const std::string set = access.session(asked({}));
  EXPECT_NE(set.find("HttpOnly"), std::string::npos);
  EXPECT_NE(set.find("SameSite=Strict"), std::string::npos);
  EXPECT_EQ(set.find("Secure"), std::string::npos);
  const std::string cookie = cookie_of(set);
  const Headers host = {{"Host", "localhost:1"}, {"Cookie", "a=b; " + cookie}};
  EXPECT_FALSE(access.check_key(asked(host, "GET")));
  EXPECT_EQ(access.check_key(asked(host, "POST"))->status, 403);
  Headers own = host;
  own.emplace_back("Origin", "http://localhost:1");
  EXPECT_FALSE(access.check_key(asked(own, "POST")));
  // Another server with the same key knows it, one with another key does not.
  EXPECT_FALSE(Access(rules({"secret"})).check_key(asked(host, "GET")));
  EXPECT_TRUE(Access(rules({"other"})).check_key(asked(host, "GET")));
  std::string forged = cookie;
  forged[forged.find('=') + 1] = '9';  // a later end
  EXPECT_TRUE(access.check_key(asked({{"Cookie", forged}}, "GET")));
  EXPECT_TRUE(access.check_key(asked({{"Cookie", "icedit_session=-"}}, "GET")));
  EXPECT_NE(access.session(asked({}), /*end=*/true).find("Max-Age=0"), std::string::npos);
}

TEST(Access, KnowsHowItIsWritten) {
  AccessRules some = rules();
  some.proxies = {"10.0.0.1"};
  const Headers headers = {{"Host", "a.org"}, {"X-Forwarded-Proto", "https"}};
  EXPECT_EQ(Access(some).origin(asked(headers, "GET", "10.0.0.1")), "https://a.org");
  EXPECT_EQ(Access(some).origin(asked(headers, "GET", "10.0.0.2")), "http://a.org");
}

TEST(Access, TellsClientsApart) {
  AccessRules some = rules({"one", "two"});
  some.proxies = {"10.0.0.1"};
  const Access access(some);
  EXPECT_EQ(access.client(asked({{"X-Forwarded-For", "1.2.3.4"}}, "GET", "5.6.7.8")), "5.6.7.8");
  EXPECT_EQ(access.client(asked({{"X-Forwarded-For", "9.9.9.9, 1.2.3.4"}}, "GET", "10.0.0.1")),
            "1.2.3.4");
  EXPECT_EQ(access.client(asked({{"Authorization", "Bearer two"}}, "GET", "10.0.0.1")), "key 1");
  const std::string cookie = cookie_of(access.session(asked({})));
  const std::string a = access.client(asked({{"Cookie", cookie}}, "GET", "10.0.0.1"));
  EXPECT_EQ(a, access.client(asked({{"Cookie", cookie}}, "GET", "1.1.1.1")));
  EXPECT_NE(a, "10.0.0.1");
  EXPECT_NE(
      access.session(asked({{"X-Forwarded-Proto", "https"}}, "GET", "10.0.0.1")).find("Secure"),
      std::string::npos);
}

}  // namespace
}  // namespace icedit::http
