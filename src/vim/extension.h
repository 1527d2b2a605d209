/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extensions: who else works with this server (vSphere API ExtensionManager). Kept and stored as
 * clients register them; nothing is done with them. Event-loop thread only.
 */
#ifndef VIM_EXTENSION_H
#define VIM_EXTENSION_H

#include "vim/service.h"

struct extension_manager;

/* Makes the ExtensionManager object with that id. `path`: where extensions are stored; NULL:
 * nowhere. NULL when the stored ones cannot be read. */
struct extension_manager *extension_manager_new(struct service *s, const char *id, const char *path,
						struct error *e);
void extension_manager_free(struct extension_manager *m);

#endif
