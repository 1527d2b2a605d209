/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Licences (vSphere API LicenseManager, LicenseAssignmentManager). This product is free and checks
 * none: it shows one evaluation licence without limits, to which everything is assigned, because
 * clients look for one. Keys that administrators enter are kept and shown with their labels, and
 * may be assigned, without any effect. Event-loop thread only.
 */
#ifndef VIM_LICENSE_H
#define VIM_LICENSE_H

#include "vim/service.h"

struct license_manager;

struct license_config {
	const char *id;		   /* "ha-license-manager", "LicenseManager" */
	const char *assignment_id; /* "LicenseAssignmentManager"; NULL: none */
	const char *edition;	   /* licensedEdition, e.g. "esxBasic", "vc" */
	const char *path;	   /* where keys and assignments are stored; NULL: nowhere */
};

/* NULL when the stored keys cannot be read. */
struct license_manager *license_manager_new(struct service *s, const struct license_config *config,
					    struct error *e);
void license_manager_free(struct license_manager *m);

#endif
