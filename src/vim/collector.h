/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PropertyCollector (vSphere API PropertyCollector, PropertyFilter): property retrieval and
 * change notification over an inventory. Registers its methods and the session's default collector.
 */
#ifndef VIM_COLLECTOR_H
#define VIM_COLLECTOR_H

#include "vim/service.h"
#include "vim/session.h"

struct collector_manager;

/* Makes the default PropertyCollector object with that id ("ha-property-collector",
 * "propertyCollector"). Every session has filters of its own on it; CreatePropertyCollector makes
 * more. */
struct collector_manager *collector_manager_new(struct service *s, struct session_manager *sessions,
						const char *id);
void collector_manager_free(struct collector_manager *m);

#endif
