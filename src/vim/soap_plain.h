/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain XML: the little of XML that clients write when nothing is odd.
 *
 * A plain document is ASCII without references, comments, CDATA, processing instructions and
 * document types; its declaration, if any, is one of a few spellings, and the namespaces it
 * declares are those of SOAP and vSphere. Most requests are plain, and reading one here takes a
 * third of what libxml2 takes (which parses the URI of each namespace, among other things).
 *
 * There is one rule: what is read here means what libxml2 would have made of it, for both feed the
 * same reader. Whatever is not plain, malformed or refused is left to libxml2, which reads it from
 * its beginning and says what is wrong. soap_read_fuzz.c holds both against each other.
 */
#ifndef VIM_SOAP_PLAIN_H
#define VIM_SOAP_PLAIN_H

#include "vim/soap_reader.h"

enum {
	PLAIN_MAX_BYTES = 256 << 10 /* larger documents go to libxml2 */
};

/* Feeds the reader; true: all of the document was read. Else nothing counts that the reader got. */
bool plain_read(struct reader *r, const char *data, size_t len);

#endif
