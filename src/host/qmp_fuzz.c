/* SPDX-License-Identifier: Apache-2.0 */
/* One line of QMP from a QEMU that a guest has taken over. */
#include <stddef.h>
#include <stdint.h>

#include "host/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qmp_message m;
	struct error e = { 0 };
	if (qmp_message_parse((const char *)data, size, &m, &e)) {
		qmp_message_fini(&m);
	}
	return 0;
}
