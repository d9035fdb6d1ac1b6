#pragma once
// A server's certificate and key for encrypted connections (OpenSSL, TLS 1.2 and 1.3); private to
// this folder.
#include <boost/asio/ssl/context.hpp>

#include "http/server.h"

namespace icedit::http {

// Throws FileNotFound or UsageError naming the file: not there, no certificate, no key or an
// encrypted one, or a key that is another certificate's.
boost::asio::ssl::context tls_context(const Certificate& files);

}  // namespace icedit::http
