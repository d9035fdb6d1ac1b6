#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>

#include "base/error.h"
#include "http/connection.h"
#include "io/files.h"

namespace icedit::http {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

ssl::context tls_context(const Certificate& files) {
  const std::string chain = read_file(files.chain), key = read_file(files.key);
  ssl::context context(ssl::context::tls_server);
  context.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                      ssl::context::no_tlsv1_1 | SSL_OP_NO_RENEGOTIATION |
                      SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Else OpenSSL asks at the terminal.
  bool encrypted = false;
  context.set_password_callback([&](size_t, ssl::context::password_purpose) {
    encrypted = true;
    return std::string();
  });
  error_code error;
  context.use_certificate_chain(boost::asio::buffer(chain), error);
  if (error) {
    throw UsageError(str("--tls-cert ", files.chain, ": ", error.message(),
                         "; expected a PEM file with the certificate and those that vouch for it"));
  }
  context.use_private_key(boost::asio::buffer(key), ssl::context::pem, error);
  if (encrypted) {
    throw UsageError(str("--tls-key ", files.key, " is encrypted; take the passphrase off with ",
                         "openssl pkey -in ", files.key, " -out KEY.pem, and keep that file safe"));
  }
  if (error &&
      ERR_GET_REASON(static_cast<unsigned long>(error.value())) == X509_R_KEY_VALUES_MISMATCH) {
    throw UsageError(str("--tls-key ", files.key, " is not the key of --tls-cert ", files.chain));
  }
  if (error) {
    throw UsageError(str("--tls-key ", files.key, ": ", error.message(),
                         "; expected a PEM file with the certificate's private key"));
  }
  return context;
}

}  // namespace icedit::http
