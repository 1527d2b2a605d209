/* SPDX-License-Identifier: Apache-2.0 */
#include "center/expectation.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void expect(struct expectation *x, struct mirror *m, const char *name, const char *path,
	    const struct object *folder, const struct object *pool)
{
	x->mirror = m;
	x->name = name == NULL ? NULL : mem_strdup(name);
	x->path = path == NULL ? NULL : mem_strdup(path);
	x->folder = value_hold(folder->ref);
	x->pool = value_hold(pool->ref);
	list_push_back(&m->member->hosts->expectations, &x->link);
}

void expect_end(struct expectation *x)
{
	if (x->mirror == NULL) {
		return;
	}
	list_remove(&x->link);
	free(x->name);
	free(x->path);
	value_drop(x->folder);
	value_drop(x->pool);
	*x = (struct expectation){ 0 };
}

static const char *config_path(struct object *vm, struct arena *a)
{
	const struct value *config = object_get(vm, P_VirtualMachine_config, a);

	return value_get_str(value_get_value(config, F_VirtualMachineConfigInfo_files),
			     F_VirtualMachineFileInfo_vmPathName);
}

const struct expectation *expected(struct mirror *m, struct object *remote_vm, struct arena *a)
{
	const char *name = object_get_str(remote_vm, P_ManagedEntity_name);

	list_each (struct expectation, x, &m->member->hosts->expectations, link) {
		if (x->mirror != m) {
			continue;
		}
		const char *path = x->path == NULL ? NULL : config_path(remote_vm, a);
		if ((x->name != NULL && name != NULL && strcmp(x->name, name) == 0) ||
		    (path != NULL && strcmp(x->path, path) == 0)) {
			return x;
		}
	}
	return NULL;
}
