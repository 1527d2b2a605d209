/* SPDX-License-Identifier: Apache-2.0 */
#include "vim/front.h"

#include <string.h>

#include "base/log.h"
#include "vim/certificate.h"

LOG_MODULE("front");

enum {
	PORT_FIRST = 443,
	PORT_ELSE = 8443
};

static struct server *front_listen(const struct front_config *c, struct error *e)
{
	struct server_config config = {
		.loop = c->loop,
		.address = c->address,
		.port = c->port,
		.cert_path = c->cert_path,
		.key_path = c->key_path,
		.service = c->service,
		.sessions = c->sessions,
	};
	struct server *s = server_new(&config, e);

	if (s == NULL && config.port == PORT_FIRST) {
		config.port = PORT_ELSE;
		s = server_new(&config, e);
	}
	return s;
}

struct server *front_open(const struct front_config *c, struct error *e)
{
	struct certificate_config certificate = {
		.cert_path = c->cert_path,
		.key_path = c->key_path,
		.name = c->name,
		.address = c->address,
	};
	struct certificate_thumbprints prints;

	if (!certificate_ensure(&certificate, e) ||
	    !certificate_thumbprints(c->cert_path, &prints, e)) {
		return NULL;
	}
	struct server *s = front_listen(c, e);
	if (s != NULL) {
		bool is_v6 = strchr(c->address, ':') != NULL;
		log_info(is_v6 ? "serving https://[%s]:%u/sdk" : "serving https://%s:%u/sdk",
			 c->address, server_port(s));
		log_info("thumbprint SHA-1 %s", prints.sha1);
		log_info("thumbprint SHA-256 %s", prints.sha256);
	}
	return s;
}
